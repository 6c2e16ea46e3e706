DROP VIEW losses;
CREATE OR REPLACE VIEW liquidations WITH (security_invoker) AS
SELECT o.n, o.index, 'opened' AS what, o.account, o.instrument, o.auction, o.quantity, NULL::bigint AS price,
       NULL::text AS reason
FROM auctions_opened o
UNION ALL
SELECT l.n, l.index, CASE l.kind WHEN 2 THEN 'award' ELSE 'deleveraging' END, l.account, l.instrument, NULL, l.quantity,
       l.price, NULL
FROM legs l WHERE l.kind IN (2, 3)
UNION ALL
SELECT c.n, c.index, 'closed', c.account, NULL, c.auction, c.remaining, NULL, k.name
FROM auctions_closed c JOIN codes k ON k.enum = 'ClosingReason' AND k.code = c.reason;
CREATE OR REPLACE FUNCTION own_accounts() RETURNS SETOF bigint LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
BEGIN ATOMIC
    SELECT a.account FROM accounts a WHERE a.member = member_of_login();
END;
COMMENT ON FUNCTION own_accounts IS 'The accounts of the member whose login this session was opened with.';
DROP TABLE
    members_defaulted,
    policy_layers,
    policies_published,
    withdrawals_waiting,
    withdrawals_held,
    portfolios_opened,
    portfolio_bids,
    portfolio_bids_dropped,
    portfolios_closed,
    backstop_capacity,
    liquidation_gaps,
    policies,
    layers_laid_out,
    losses_borne,
    assessment_capacity,
    gains_reported,
    default_fund_parts,
    backer_deposits,
    backers,
    porting_checks,
    clients_ported,
    member_standings,
    close_outs_due,
    resources_moved,
    open_interest,
    owner_interest,
    breakers,
    stress_runs,
    stress_results;
DELETE FROM codes WHERE (enum = 'BreakerCause' AND code IN (0, 1, 2))
    OR (enum = 'ClosingReason' AND code IN (9, 10))
    OR (enum = 'House' AND code IN (9, 10))
    OR (enum = 'LegKind' AND code IN (4, 5))
    OR (enum = 'Parameter' AND code IN (23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 46, 47, 48, 49, 50, 51, 52, 53, 57))
    OR (enum = 'PostingKind' AND code IN (19, 20, 21, 22, 23, 24, 29, 30, 31))
    OR (enum = 'Reason' AND code IN (150, 151, 152, 159, 160, 161, 162, 163, 164, 167, 168, 169, 170, 171, 172, 173, 174, 175, 176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 191, 192))
    OR (enum = 'WaterfallLayer' AND code IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    OR (enum = 'WithdrawalDecision' AND code IN (0, 1));
COMMENT ON COLUMN legs.kind IS 'What brought a leg: 0 TRADE, 1 REVERSAL, 2 LIQUIDATION, 3 DELEVERAGING';
COMMENT ON COLUMN transfers.kind IS 'What a posting is for: 0 DEPOSIT, 1 WITHDRAWAL, 2 WITHDRAWAL_PAID, 3 WITHDRAWAL_RETURNED, 4 TRADE, 5 BASE, 6 FEE, 7 FUND_SHARE, 8 FUNDING, 9 VARIATION, 10 EXERCISE, 11 FINAL_SETTLEMENT, 12 FUND_CONTRIBUTION, 13 FUND_PAYMENT, 14 FEE_DUE';
COMMENT ON COLUMN postings.kind IS 'What a posting is for: 0 DEPOSIT, 1 WITHDRAWAL, 2 WITHDRAWAL_PAID, 3 WITHDRAWAL_RETURNED, 4 TRADE, 5 BASE, 6 FEE, 7 FUND_SHARE, 8 FUNDING, 9 VARIATION, 10 EXERCISE, 11 FINAL_SETTLEMENT, 12 FUND_CONTRIBUTION, 13 FUND_PAYMENT, 14 FEE_DUE';
COMMENT ON COLUMN orders_closed.reason IS 'Why an auction or an order ended: 0 FILLED, 1 HEALED, 2 CLIPPED, 3 RISK_RAISING, 4 BY_OWNER, 5 INSTRUMENT_ENDED, 6 DELEVERAGED, 7 SUPERSEDED';
COMMENT ON COLUMN auctions_closed.reason IS 'Why an auction or an order ended: 0 FILLED, 1 HEALED, 2 CLIPPED, 3 RISK_RAISING, 4 BY_OWNER, 5 INSTRUMENT_ENDED, 6 DELEVERAGED, 7 SUPERSEDED';
