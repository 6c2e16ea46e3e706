-- What default management tells: auctions of whole portfolios, the waterfall's layers, breakers, members in default.
INSERT INTO codes (enum, code, name) VALUES
    ('BreakerCause', 0, 'OPEN_INTEREST'),
    ('BreakerCause', 1, 'OWNER'),
    ('BreakerCause', 2, 'PRICE'),
    ('ClosingReason', 9, 'NO_BID'),
    ('ClosingReason', 10, 'BACKSTOPPED'),
    ('House', 9, 'DEFAULT_FUND'),
    ('House', 10, 'LAID_OUT'),
    ('LegKind', 4, 'BACKSTOP'),
    ('LegKind', 5, 'TEAR_UP'),
    ('Parameter', 23, 'LADDER_HYSTERESIS'),
    ('Parameter', 24, 'LIQUIDATION_FEE'),
    ('Parameter', 25, 'WHOLE_LIQUIDATION_FEE'),
    ('Parameter', 26, 'WITHDRAWAL_RATE'),
    ('Parameter', 27, 'WITHDRAWAL_HOLD'),
    ('Parameter', 28, 'COLLATERAL_NOTICE'),
    ('Parameter', 57, 'PACING'),
    ('Parameter', 48, 'BREAKER_FUND_SHARE'),
    ('Parameter', 49, 'BREAKER_STRESS'),
    ('Parameter', 50, 'BREAKER_RESET'),
    ('Parameter', 51, 'OWNER_SHARE'),
    ('Parameter', 52, 'PRICE_BREAKER'),
    ('Parameter', 53, 'PRICE_BREAKER_MARKS'),
    ('Parameter', 29, 'PLAN_METHOD'),
    ('Parameter', 30, 'PLAN_RISK_WEIGHT'),
    ('Parameter', 31, 'PLAN_LIQUIDITY_WEIGHT'),
    ('Parameter', 32, 'PLAN_CAPITAL_WEIGHT'),
    ('Parameter', 33, 'PLAN_DEPTH'),
    ('Parameter', 34, 'PLAN_IMPACT'),
    ('Parameter', 35, 'AUCTION_FRACTION'),
    ('Parameter', 36, 'PORTFOLIO_AUCTION_MARKS'),
    ('Parameter', 37, 'PORTFOLIO_RESERVE'),
    ('Parameter', 38, 'BACKSTOP_DISCOUNT'),
    ('Parameter', 39, 'BUFFER_GAP'),
    ('Parameter', 40, 'GAP_TOLD'),
    ('Parameter', 41, 'AUCTION_IMPACT'),
    ('Parameter', 46, 'PORTING_WINDOW'),
    ('Parameter', 47, 'HOUSE_COVERS_CLIENTS'),
    ('Parameter', 42, 'BACKER_NOTICE'),
    ('Parameter', 43, 'BACKERS'),
    ('PostingKind', 29, 'MEMBER_RESOURCES'),
    ('PostingKind', 30, 'OMNIBUS_SHARE'),
    ('PostingKind', 31, 'RESOURCES_RETURNED'),
    ('PostingKind', 19, 'LAYER_DRAWN'),
    ('PostingKind', 20, 'LAYER_PAYMENT'),
    ('PostingKind', 21, 'ASSESSMENT'),
    ('PostingKind', 22, 'GAINS_HAIRCUT'),
    ('PostingKind', 23, 'DEFAULT_FUND_CONTRIBUTION'),
    ('PostingKind', 24, 'BACKER_WITHDRAWAL'),
    ('Reason', 150, 'WITHDRAWAL_HELD'),
    ('Reason', 151, 'WITHDRAWAL_RATE'),
    ('Reason', 152, 'WITHDRAWAL_NOT_DUE'),
    ('Reason', 185, 'BREAKER_TRIPPED'),
    ('Reason', 186, 'OWNER_LIMITED'),
    ('Reason', 187, 'BREAKER_OFF'),
    ('Reason', 188, 'BREAKER_UNCHANGED'),
    ('Reason', 189, 'BREAKER_UNFOUNDED'),
    ('Reason', 159, 'PORTFOLIO_ON_OFFER'),
    ('Reason', 160, 'PORTFOLIO_INCOMPLETE'),
    ('Reason', 161, 'PORTFOLIO_CLOSED'),
    ('Reason', 162, 'PORTFOLIO_STILL_OPEN'),
    ('Reason', 163, 'BID_ABOVE_RESERVE'),
    ('Reason', 164, 'ONE_BID_A_PORTFOLIO'),
    ('Reason', 177, 'UNKNOWN_MEMBER'),
    ('Reason', 178, 'MEMBER_DEFAULTED'),
    ('Reason', 179, 'MEMBER_NOT_DEFAULTED'),
    ('Reason', 180, 'SAME_MEMBER'),
    ('Reason', 181, 'PORTING_WINDOW_OVER'),
    ('Reason', 182, 'PORTING_NOT_A_CLIENT'),
    ('Reason', 183, 'PORTING_IN_BREACH'),
    ('Reason', 184, 'SEGREGATION_FORBIDS'),
    ('Reason', 167, 'POLICY_INVALID'),
    ('Reason', 168, 'POLICY_PENDING'),
    ('Reason', 169, 'LAYER_NOT_IN_POLICY'),
    ('Reason', 170, 'LAYER_EMPTY'),
    ('Reason', 171, 'MARK_PASSED'),
    ('Reason', 172, 'NO_SUCH_MEMBER'),
    ('Reason', 173, 'BACKER_UNITS_SHORT'),
    ('Reason', 174, 'ASSESSMENT_SHORT'),
    ('Reason', 175, 'BACKER_REQUEST_EXISTS'),
    ('Reason', 176, 'UNKNOWN_BACKER_REQUEST'),
    ('Reason', 191, 'STRESS_OF_NO_MARK'),
    ('Reason', 192, 'STRESS_OUT_OF_RANGE'),
    ('WaterfallLayer', 0, 'LAID_OUT'),
    ('WaterfallLayer', 1, 'OWN_COLLATERAL'),
    ('WaterfallLayer', 2, 'MEMBER_CONTRIBUTION'),
    ('WaterfallLayer', 3, 'OWN_CAPITAL'),
    ('WaterfallLayer', 4, 'FUND'),
    ('WaterfallLayer', 5, 'DEFAULT_FUND'),
    ('WaterfallLayer', 6, 'ASSESSMENT'),
    ('WaterfallLayer', 7, 'GAINS_HAIRCUT'),
    ('WaterfallLayer', 8, 'DELEVERAGING'),
    ('WaterfallLayer', 9, 'TEAR_UP'),
    ('WithdrawalDecision', 0, 'PAID'),
    ('WithdrawalDecision', 1, 'RETURNED');
COMMENT ON COLUMN legs.kind IS 'What brought a leg: codes: LegKind';
COMMENT ON COLUMN transfers.kind IS 'What a posting is for: codes: PostingKind';
COMMENT ON COLUMN postings.kind IS 'What a posting is for: codes: PostingKind';
COMMENT ON COLUMN orders_closed.reason IS 'Why an auction or an order ended: codes: ClosingReason';
COMMENT ON COLUMN auctions_closed.reason IS 'Why an auction or an order ended: codes: ClosingReason';

CREATE TABLE members_defaulted (
    n bigint NOT NULL,
    index bigint NOT NULL,
    member bigint NOT NULL,
    time bigint NOT NULL,
    porting_window bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE members_defaulted IS 'A member is in default: its house accounts are closed out, its clients'' may be taken over for `window` microseconds from the last mark (0: PORTING_WINDOW).';
COMMENT ON COLUMN members_defaulted.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN members_defaulted.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN members_defaulted.member IS 'member number';
COMMENT ON COLUMN members_defaulted.time IS 'the event''s own time';
COMMENT ON COLUMN members_defaulted.porting_window IS 'microseconds; 0: PORTING_WINDOW';

CREATE TABLE policy_layers (
    n bigint NOT NULL,
    index bigint NOT NULL,
    layer smallint NOT NULL,
    policy integer NOT NULL,
    part integer NOT NULL,
    time bigint NOT NULL,
    share bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE policy_layers IS 'A row of a waterfall policy: its `part`-th layer, and how much of it may be used while the policy is in force.';
COMMENT ON COLUMN policy_layers.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN policy_layers.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN policy_layers.layer IS 'codes: WaterfallLayer';
COMMENT ON COLUMN policy_layers.policy IS 'the policy''s number';
COMMENT ON COLUMN policy_layers.part IS 'the layer''s place, from 0';
COMMENT ON COLUMN policy_layers.time IS 'the event''s own time';
COMMENT ON COLUMN policy_layers.share IS 'basis points';
COMMENT ON COLUMN policy_layers.amount IS 'smallest units of the asset';

CREATE TABLE policies_published (
    n bigint NOT NULL,
    index bigint NOT NULL,
    policy integer NOT NULL,
    layers integer NOT NULL,
    time bigint NOT NULL,
    effective bigint NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE policies_published IS 'A waterfall policy is whole: its number of layers and the SHA-256 of the text that tells it.';
COMMENT ON COLUMN policies_published.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN policies_published.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN policies_published.policy IS 'the policy''s number';
COMMENT ON COLUMN policies_published.layers IS 'how many layers it has';
COMMENT ON COLUMN policies_published.time IS 'the event''s own time';
COMMENT ON COLUMN policies_published.effective IS 'when it takes effect';
COMMENT ON COLUMN policies_published.digest IS 'SHA-256';

CREATE TABLE withdrawals_waiting (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    withdrawal numeric(20, 0) NOT NULL,
    mark bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE withdrawals_waiting IS 'A withdrawal that its account can carry, and that waits until all shards'' marks are known.';
COMMENT ON COLUMN withdrawals_waiting.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN withdrawals_waiting.shard IS 'the shard that said it';
COMMENT ON COLUMN withdrawals_waiting.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN withdrawals_waiting.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN withdrawals_waiting.asset IS 'asset number (assets)';
COMMENT ON COLUMN withdrawals_waiting.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN withdrawals_waiting.withdrawal IS 'the withdrawal''s number';
COMMENT ON COLUMN withdrawals_waiting.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN withdrawals_waiting.amount IS 'smallest units of the asset';

CREATE TABLE withdrawals_held (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    held smallint NOT NULL,
    mark bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE withdrawals_held IS 'Withdrawals are held from this mark on (`held` 1), or no longer (0).';
COMMENT ON COLUMN withdrawals_held.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN withdrawals_held.shard IS 'the shard that said it';
COMMENT ON COLUMN withdrawals_held.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN withdrawals_held.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN withdrawals_held.held IS '1 held, 0 no longer';
COMMENT ON COLUMN withdrawals_held.mark IS 'the mark''s number: 1, 2, 3 ...';

CREATE TABLE portfolios_opened (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    reason smallint NOT NULL,
    lots integer NOT NULL,
    account bigint NOT NULL,
    auction numeric(20, 0) NOT NULL,
    mark bigint NOT NULL,
    closes numeric(20, 0) NOT NULL,
    reserve bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE portfolios_opened IS 'A whole portfolio is on offer until mark `closes`; `reason` is not NONE where its account cannot sell it.';
COMMENT ON COLUMN portfolios_opened.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN portfolios_opened.shard IS 'the shard that said it';
COMMENT ON COLUMN portfolios_opened.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN portfolios_opened.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN portfolios_opened.reason IS 'codes: Reason';
COMMENT ON COLUMN portfolios_opened.lots IS 'how many instruments it holds';
COMMENT ON COLUMN portfolios_opened.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN portfolios_opened.auction IS 'the auction''s number';
COMMENT ON COLUMN portfolios_opened.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN portfolios_opened.closes IS 'the mark at which bids are opened';
COMMENT ON COLUMN portfolios_opened.reserve IS 'largest discount taken, basis points of each mark';

CREATE TABLE portfolio_bids (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    bidder bigint NOT NULL,
    auction numeric(20, 0) NOT NULL,
    bid numeric(20, 0) NOT NULL,
    discount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE portfolio_bids IS 'A sealed bid''s margin is reserved for all legs; before the close it is for the desk alone.';
COMMENT ON COLUMN portfolio_bids.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN portfolio_bids.shard IS 'the shard that said it';
COMMENT ON COLUMN portfolio_bids.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN portfolio_bids.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN portfolio_bids.bidder IS 'account of the liquidator who bids';
COMMENT ON COLUMN portfolio_bids.auction IS 'the auction''s number';
COMMENT ON COLUMN portfolio_bids.bid IS 'the bid''s number';
COMMENT ON COLUMN portfolio_bids.discount IS 'basis points off each leg''s mark';

CREATE TABLE portfolio_bids_dropped (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    bidder bigint NOT NULL,
    auction numeric(20, 0) NOT NULL,
    bid numeric(20, 0) NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE portfolio_bids_dropped IS 'A sealed bid is void: at a mark its bidder''s equity no longer covered what was reserved.';
COMMENT ON COLUMN portfolio_bids_dropped.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN portfolio_bids_dropped.shard IS 'the shard that said it';
COMMENT ON COLUMN portfolio_bids_dropped.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN portfolio_bids_dropped.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN portfolio_bids_dropped.bidder IS 'account of the liquidator who bids';
COMMENT ON COLUMN portfolio_bids_dropped.auction IS 'the auction''s number';
COMMENT ON COLUMN portfolio_bids_dropped.bid IS 'the bid''s number';

CREATE TABLE portfolios_closed (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    reason smallint NOT NULL,
    account bigint NOT NULL,
    auction numeric(20, 0) NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE portfolios_closed IS 'A portfolio is no longer on offer, sold or not.';
COMMENT ON COLUMN portfolios_closed.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN portfolios_closed.shard IS 'the shard that said it';
COMMENT ON COLUMN portfolios_closed.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN portfolios_closed.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN portfolios_closed.reason IS 'codes: ClosingReason';
COMMENT ON COLUMN portfolios_closed.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN portfolios_closed.auction IS 'the auction''s number';

CREATE TABLE backstop_capacity (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    account bigint NOT NULL,
    mark bigint NOT NULL,
    committed bigint NOT NULL,
    capacity bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE backstop_capacity IS 'What a backstop can take over at a mark: of `committed`, what its equity is above its initial margin.';
COMMENT ON COLUMN backstop_capacity.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN backstop_capacity.shard IS 'the shard that said it';
COMMENT ON COLUMN backstop_capacity.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN backstop_capacity.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN backstop_capacity.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN backstop_capacity.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN backstop_capacity.committed IS 'micro-dollars';
COMMENT ON COLUMN backstop_capacity.capacity IS 'micro-dollars that it can take over now';

CREATE TABLE liquidation_gaps (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    account bigint NOT NULL,
    instrument bigint NOT NULL,
    auction numeric(20, 0) NOT NULL,
    mark bigint NOT NULL,
    quantity bigint NOT NULL,
    worth bigint NOT NULL,
    lost bigint NOT NULL,
    maintenance bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE liquidation_gaps IS 'A liquidated leg''s price against its mark. Micro-dollars.';
COMMENT ON COLUMN liquidation_gaps.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN liquidation_gaps.shard IS 'the shard that said it';
COMMENT ON COLUMN liquidation_gaps.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN liquidation_gaps.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN liquidation_gaps.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN liquidation_gaps.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN liquidation_gaps.auction IS 'the auction''s number';
COMMENT ON COLUMN liquidation_gaps.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN liquidation_gaps.quantity IS 'lots, signed as the account''s leg';
COMMENT ON COLUMN liquidation_gaps.worth IS 'micro-dollars: value at the mark';
COMMENT ON COLUMN liquidation_gaps.lost IS 'micro-dollars below the mark';
COMMENT ON COLUMN liquidation_gaps.maintenance IS 'micro-dollars: maintenance margin';

CREATE TABLE policies (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    policy integer NOT NULL,
    layers integer NOT NULL,
    mark bigint NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE policies IS 'A waterfall policy took effect at a mark; `digest` is its text''s SHA-256.';
COMMENT ON COLUMN policies.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN policies.shard IS 'the shard that said it';
COMMENT ON COLUMN policies.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN policies.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN policies.policy IS 'the policy''s number';
COMMENT ON COLUMN policies.layers IS 'how many layers it has';
COMMENT ON COLUMN policies.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN policies.digest IS 'SHA-256';

CREATE TABLE layers_laid_out (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    layer smallint NOT NULL,
    reason smallint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    member bigint NOT NULL,
    mark bigint NOT NULL,
    asked bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE layers_laid_out IS 'A layer laid out this much for the deficits of a mark, of what it was `asked` for.';
COMMENT ON COLUMN layers_laid_out.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN layers_laid_out.shard IS 'the shard that said it';
COMMENT ON COLUMN layers_laid_out.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN layers_laid_out.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN layers_laid_out.layer IS 'codes: WaterfallLayer';
COMMENT ON COLUMN layers_laid_out.reason IS 'codes: Reason';
COMMENT ON COLUMN layers_laid_out.asset IS 'asset number (assets)';
COMMENT ON COLUMN layers_laid_out.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN layers_laid_out.member IS 'member number';
COMMENT ON COLUMN layers_laid_out.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN layers_laid_out.asked IS 'smallest units that were asked for';
COMMENT ON COLUMN layers_laid_out.amount IS 'smallest units of the asset';

CREATE TABLE losses_borne (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    layer smallint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    member bigint NOT NULL,
    mark bigint NOT NULL,
    amount bigint NOT NULL,
    remaining bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE losses_borne IS 'A layer of the waterfall bore this much of an account''s deficit; `remaining` is what is still owed.';
COMMENT ON COLUMN losses_borne.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN losses_borne.shard IS 'the shard that said it';
COMMENT ON COLUMN losses_borne.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN losses_borne.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN losses_borne.layer IS 'codes: WaterfallLayer';
COMMENT ON COLUMN losses_borne.asset IS 'asset number (assets)';
COMMENT ON COLUMN losses_borne.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN losses_borne.member IS 'member number';
COMMENT ON COLUMN losses_borne.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN losses_borne.amount IS 'smallest units of the asset';
COMMENT ON COLUMN losses_borne.remaining IS 'smallest units still owed';

CREATE TABLE assessment_capacity (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    member bigint NOT NULL,
    mark bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE assessment_capacity IS 'What a member''s house account could pay of an asset at a mark without falling below its initial margin.';
COMMENT ON COLUMN assessment_capacity.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN assessment_capacity.shard IS 'the shard that said it';
COMMENT ON COLUMN assessment_capacity.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN assessment_capacity.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN assessment_capacity.asset IS 'asset number (assets)';
COMMENT ON COLUMN assessment_capacity.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN assessment_capacity.member IS 'member number';
COMMENT ON COLUMN assessment_capacity.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN assessment_capacity.amount IS 'smallest units of the asset';

CREATE TABLE gains_reported (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    accounts bigint NOT NULL,
    mark bigint NOT NULL,
    gains bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE gains_reported IS 'What a shard''s accounts gained of an asset since the mark before, those that lost left out.';
COMMENT ON COLUMN gains_reported.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN gains_reported.shard IS 'the shard that said it';
COMMENT ON COLUMN gains_reported.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN gains_reported.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN gains_reported.asset IS 'asset number (assets)';
COMMENT ON COLUMN gains_reported.accounts IS 'how many accounts';
COMMENT ON COLUMN gains_reported.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN gains_reported.gains IS 'smallest units';

CREATE TABLE default_fund_parts (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    member bigint NOT NULL,
    mark bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE default_fund_parts IS 'What is left of a member''s contribution to the default fund at a mark; all parts are what DEFAULT_FUND holds.';
COMMENT ON COLUMN default_fund_parts.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN default_fund_parts.shard IS 'the shard that said it';
COMMENT ON COLUMN default_fund_parts.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN default_fund_parts.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN default_fund_parts.asset IS 'asset number (assets)';
COMMENT ON COLUMN default_fund_parts.member IS 'member number';
COMMENT ON COLUMN default_fund_parts.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN default_fund_parts.amount IS 'smallest units of the asset';

CREATE TABLE backer_deposits (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    backer bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE backer_deposits IS 'A contribution to the insurance fund that becomes units at the next mark; backer 0 is the clearinghouse.';
COMMENT ON COLUMN backer_deposits.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN backer_deposits.shard IS 'the shard that said it';
COMMENT ON COLUMN backer_deposits.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN backer_deposits.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN backer_deposits.asset IS 'asset number (assets)';
COMMENT ON COLUMN backer_deposits.backer IS 'the backer''s number; 0 is the clearinghouse';
COMMENT ON COLUMN backer_deposits.amount IS 'smallest units of the asset';

CREATE TABLE backers (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    backer bigint NOT NULL,
    units bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE backers IS 'A backer''s units of the insurance fund changed; `amount` was paid out for them.';
COMMENT ON COLUMN backers.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN backers.shard IS 'the shard that said it';
COMMENT ON COLUMN backers.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN backers.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN backers.asset IS 'asset number (assets)';
COMMENT ON COLUMN backers.backer IS 'the backer''s number; 0 is the clearinghouse';
COMMENT ON COLUMN backers.units IS 'units of the fund it has now';
COMMENT ON COLUMN backers.amount IS 'smallest units of the asset';

CREATE TABLE porting_checks (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    reason smallint NOT NULL,
    account bigint NOT NULL,
    head bigint NOT NULL,
    taker bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE porting_checks IS 'Whether an account can go to the member that accepted it (`reason` NONE), told by the shard that keeps it.';
COMMENT ON COLUMN porting_checks.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN porting_checks.shard IS 'the shard that said it';
COMMENT ON COLUMN porting_checks.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN porting_checks.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN porting_checks.reason IS 'codes: Reason';
COMMENT ON COLUMN porting_checks.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN porting_checks.head IS 'the account that was named';
COMMENT ON COLUMN porting_checks.taker IS 'the receiving member';

CREATE TABLE clients_ported (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    account bigint NOT NULL,
    member bigint NOT NULL,
    taker bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE clients_ported IS 'A client account went over from its member in default to another, with all that is in it.';
COMMENT ON COLUMN clients_ported.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN clients_ported.shard IS 'the shard that said it';
COMMENT ON COLUMN clients_ported.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN clients_ported.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN clients_ported.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN clients_ported.member IS 'member number';
COMMENT ON COLUMN clients_ported.taker IS 'the receiving member';

CREATE TABLE member_standings (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    segregation smallint NOT NULL,
    closed smallint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    member bigint NOT NULL,
    mark bigint NOT NULL,
    balance bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE member_standings IS 'An account of a member in default at a mark. `closed` 0: it is not closed out yet; 1: what it has of an asset, owed where negative.';
COMMENT ON COLUMN member_standings.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN member_standings.shard IS 'the shard that said it';
COMMENT ON COLUMN member_standings.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN member_standings.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN member_standings.segregation IS 'codes: Segregation';
COMMENT ON COLUMN member_standings.closed IS '1 closed out, 0 not yet';
COMMENT ON COLUMN member_standings.asset IS 'asset number (assets)';
COMMENT ON COLUMN member_standings.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN member_standings.member IS 'member number';
COMMENT ON COLUMN member_standings.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN member_standings.balance IS 'smallest units, owed where negative';

CREATE TABLE close_outs_due (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    collateral smallint NOT NULL,
    account bigint NOT NULL,
    member bigint NOT NULL,
    mark bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE close_outs_due IS 'An account in liquidation because its member is in default: all its positions go, with `collateral` 1 also what it has of other assets.';
COMMENT ON COLUMN close_outs_due.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN close_outs_due.shard IS 'the shard that said it';
COMMENT ON COLUMN close_outs_due.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN close_outs_due.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN close_outs_due.collateral IS '1: its other assets go too';
COMMENT ON COLUMN close_outs_due.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN close_outs_due.member IS 'member number';
COMMENT ON COLUMN close_outs_due.mark IS 'the mark''s number: 1, 2, 3 ...';

CREATE TABLE resources_moved (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    given smallint NOT NULL,
    segregation smallint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    other bigint NOT NULL,
    mark bigint NOT NULL,
    amount bigint NOT NULL,
    left_over bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE resources_moved IS 'An account of a member in default paid another: the amount set aside (`given` 0), and what became of it (1).';
COMMENT ON COLUMN resources_moved.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN resources_moved.shard IS 'the shard that said it';
COMMENT ON COLUMN resources_moved.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN resources_moved.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN resources_moved.given IS '0 set aside, 1 what became of it';
COMMENT ON COLUMN resources_moved.segregation IS 'codes: Segregation';
COMMENT ON COLUMN resources_moved.asset IS 'asset number (assets)';
COMMENT ON COLUMN resources_moved.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN resources_moved.other IS 'the account on the other side';
COMMENT ON COLUMN resources_moved.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN resources_moved.amount IS 'smallest units of the asset';
COMMENT ON COLUMN resources_moved.left_over IS 'smallest units that were not needed';

CREATE TABLE open_interest (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    underlying integer NOT NULL,
    mark bigint NOT NULL,
    long bigint NOT NULL,
    short bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE open_interest IS 'What a shard''s accounts hold open in an underlying at a mark, each side''s notional in micro-dollars.';
COMMENT ON COLUMN open_interest.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN open_interest.shard IS 'the shard that said it';
COMMENT ON COLUMN open_interest.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN open_interest.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN open_interest.underlying IS 'underlying number (underlyings)';
COMMENT ON COLUMN open_interest.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN open_interest.long IS 'micro-dollars';
COMMENT ON COLUMN open_interest.short IS 'micro-dollars';

CREATE TABLE owner_interest (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asked smallint NOT NULL,
    underlying integer NOT NULL,
    owner bigint NOT NULL,
    mark bigint NOT NULL,
    long bigint NOT NULL,
    short bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE owner_interest IS 'What a shard''s accounts of one owner hold open in an underlying, each side''s notional in micro-dollars.';
COMMENT ON COLUMN owner_interest.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN owner_interest.shard IS 'the shard that said it';
COMMENT ON COLUMN owner_interest.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN owner_interest.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN owner_interest.asked IS 'smallest units that were asked for';
COMMENT ON COLUMN owner_interest.underlying IS 'underlying number (underlyings)';
COMMENT ON COLUMN owner_interest.owner IS 'owner number';
COMMENT ON COLUMN owner_interest.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN owner_interest.long IS 'micro-dollars';
COMMENT ON COLUMN owner_interest.short IS 'micro-dollars';

CREATE TABLE breakers (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    cause smallint NOT NULL,
    tripped smallint NOT NULL,
    underlying integer NOT NULL,
    owner bigint NOT NULL,
    mark bigint NOT NULL,
    interest bigint NOT NULL,
    limit_value bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE breakers IS 'New risk in an underlying is stopped (`tripped` 1) or let in again, or the limit it is held to has moved.';
COMMENT ON COLUMN breakers.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN breakers.shard IS 'the shard that said it';
COMMENT ON COLUMN breakers.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN breakers.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN breakers.cause IS 'codes: BreakerCause';
COMMENT ON COLUMN breakers.tripped IS '1: no new risk; 0: let in again';
COMMENT ON COLUMN breakers.underlying IS 'underlying number (underlyings)';
COMMENT ON COLUMN breakers.owner IS 'owner number';
COMMENT ON COLUMN breakers.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN breakers.interest IS 'micro-dollars; basis points for PRICE';
COMMENT ON COLUMN breakers.limit_value IS 'micro-dollars; basis points for PRICE';

CREATE TABLE stress_runs (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    decay smallint NOT NULL,
    results integer NOT NULL,
    accounts bigint NOT NULL,
    rounds bigint NOT NULL,
    mark bigint NOT NULL,
    position numeric(20, 0) NOT NULL,
    volatility bigint NOT NULL,
    correlation bigint NOT NULL,
    turnover bigint NOT NULL,
    impact bigint NOT NULL,
    cross_impact bigint NOT NULL,
    fund bigint NOT NULL,
    cover_1 bigint NOT NULL,
    cover_2 bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE stress_runs IS 'A what-if over the whole book, as it was told: see StressReported. It changed nothing.';
COMMENT ON COLUMN stress_runs.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN stress_runs.shard IS 'the shard that said it';
COMMENT ON COLUMN stress_runs.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN stress_runs.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN stress_runs.decay IS 'how impact fades: 0 exponentially, 1 as a power';
COMMENT ON COLUMN stress_runs.results IS 'how many results follow';
COMMENT ON COLUMN stress_runs.accounts IS 'how many accounts';
COMMENT ON COLUMN stress_runs.rounds IS 'rounds of the cascade';
COMMENT ON COLUMN stress_runs.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN stress_runs.position IS 'the entry after which the book was taken';
COMMENT ON COLUMN stress_runs.volatility IS 'millionths';
COMMENT ON COLUMN stress_runs.correlation IS 'millionths';
COMMENT ON COLUMN stress_runs.turnover IS 'millionths of open interest a day';
COMMENT ON COLUMN stress_runs.impact IS 'millionths';
COMMENT ON COLUMN stress_runs.cross_impact IS 'millionths';
COMMENT ON COLUMN stress_runs.fund IS 'micro-dollars';
COMMENT ON COLUMN stress_runs.cover_1 IS 'micro-dollars';
COMMENT ON COLUMN stress_runs.cover_2 IS 'micro-dollars';

CREATE TABLE stress_results (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    settled smallint NOT NULL,
    shock integer NOT NULL,
    only_underlying integer NOT NULL,
    failed bigint NOT NULL,
    rounds bigint NOT NULL,
    mark bigint NOT NULL,
    position numeric(20, 0) NOT NULL,
    size bigint NOT NULL,
    volatility bigint NOT NULL,
    first_loss bigint NOT NULL,
    loss bigint NOT NULL,
    factor bigint NOT NULL,
    owed bigint NOT NULL,
    fund_left bigint NOT NULL,
    short bigint NOT NULL,
    cover_1 bigint NOT NULL,
    cover_2 bigint NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE stress_results IS 'One shock of a StressRecorded, as it was told: see StressResult.';
COMMENT ON COLUMN stress_results.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN stress_results.shard IS 'the shard that said it';
COMMENT ON COLUMN stress_results.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN stress_results.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN stress_results.settled IS '1: a fixed point was reached';
COMMENT ON COLUMN stress_results.shock IS 'the shock''s place, from 1';
COMMENT ON COLUMN stress_results.only_underlying IS 'the underlying that moves alone';
COMMENT ON COLUMN stress_results.failed IS 'accounts that entered liquidation';
COMMENT ON COLUMN stress_results.rounds IS 'rounds of the cascade';
COMMENT ON COLUMN stress_results.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN stress_results.position IS 'the entry after which the book was taken';
COMMENT ON COLUMN stress_results.size IS 'millionths of the price';
COMMENT ON COLUMN stress_results.volatility IS 'millionths';
COMMENT ON COLUMN stress_results.first_loss IS 'micro-dollars';
COMMENT ON COLUMN stress_results.loss IS 'micro-dollars';
COMMENT ON COLUMN stress_results.factor IS 'loss over first loss, millionths';
COMMENT ON COLUMN stress_results.owed IS 'micro-dollars';
COMMENT ON COLUMN stress_results.fund_left IS 'micro-dollars';
COMMENT ON COLUMN stress_results.short IS 'micro-dollars';
COMMENT ON COLUMN stress_results.cover_1 IS 'micro-dollars';
COMMENT ON COLUMN stress_results.cover_2 IS 'micro-dollars';
COMMENT ON COLUMN stress_results.name IS 'name';

CREATE INDEX losses_borne_of_account ON losses_borne (account, n);
CREATE INDEX liquidation_gaps_of_account ON liquidation_gaps (account, n);
CREATE INDEX clients_ported_of_account ON clients_ported (account, n);

CREATE OR REPLACE VIEW liquidations WITH (security_invoker) AS
SELECT o.n, o.index, 'opened' AS what, o.account, o.instrument, o.auction, o.quantity, NULL::bigint AS price,
       NULL::text AS reason
FROM auctions_opened o
UNION ALL
SELECT l.n, l.index, CASE l.kind WHEN 2 THEN 'award' WHEN 4 THEN 'backstop' WHEN 5 THEN 'tear-up' ELSE 'deleveraging' END, l.account, l.instrument, NULL, l.quantity,
       l.price, NULL
FROM legs l WHERE l.kind IN (2, 3, 4, 5)
UNION ALL
SELECT c.n, c.index, 'closed', c.account, NULL, c.auction, c.remaining, NULL, k.name
FROM auctions_closed c JOIN codes k ON k.enum = 'ClosingReason' AND k.code = c.reason;

CREATE VIEW losses WITH (security_invoker) AS
SELECT
    b.n, b.index, b.mark, b.account, k.name AS layer, b.member, a.symbol AS asset,
    round(b.amount / power(10::numeric, a.decimals), a.decimals) AS borne,
    round(b.remaining / power(10::numeric, a.decimals), a.decimals) AS remaining
FROM losses_borne b
JOIN assets a ON a.asset = b.asset
JOIN codes k ON k.enum = 'WaterfallLayer' AND k.code = b.layer;
COMMENT ON VIEW losses IS 'Deficits as the waterfall''s layers bore them, in whole units of the asset.';
COMMENT ON COLUMN losses.n IS 'the entry';
COMMENT ON COLUMN losses.index IS 'the event''s place in entry n';
COMMENT ON COLUMN losses.mark IS 'the mark''s number';
COMMENT ON COLUMN losses.account IS 'whose deficit it was';
COMMENT ON COLUMN losses.layer IS 'the waterfall''s layer';
COMMENT ON COLUMN losses.member IS 'whose contribution it was; 0 the house';
COMMENT ON COLUMN losses.asset IS 'symbol of the asset';
COMMENT ON COLUMN losses.borne IS 'whole units';
COMMENT ON COLUMN losses.remaining IS 'whole units still owed';

CREATE OR REPLACE FUNCTION own_accounts() RETURNS SETOF bigint LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
BEGIN ATOMIC
    SELECT a.account FROM accounts a
    WHERE coalesce((SELECT p.taker FROM clients_ported p WHERE p.account = a.account ORDER BY p.n DESC, p.line DESC LIMIT 1),
                   a.member) = member_of_login();
END;
COMMENT ON FUNCTION own_accounts IS 'The accounts of the member whose login this session was opened with; an account that was ported is its new member''s.';

DO $$
DECLARE
    one name;
    own CONSTANT text := '%1$I >= 16 AND %1$I = ANY (ARRAY(SELECT own_accounts()))';
BEGIN
    FOREACH one IN ARRAY ARRAY[
        'members_defaulted', 'policy_layers', 'policies_published', 'withdrawals_waiting',
        'withdrawals_held', 'portfolios_opened', 'portfolio_bids', 'portfolio_bids_dropped',
        'portfolios_closed', 'backstop_capacity', 'liquidation_gaps', 'policies', 'layers_laid_out',
        'losses_borne', 'assessment_capacity', 'gains_reported', 'default_fund_parts', 'backer_deposits',
        'backers', 'porting_checks', 'clients_ported', 'member_standings', 'close_outs_due',
        'resources_moved', 'open_interest', 'owner_interest', 'breakers', 'stress_runs', 'stress_results'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('CREATE POLICY regulator ON %I FOR SELECT TO novate_regulator USING (true)', one);
        EXECUTE format('GRANT SELECT ON %I TO novate_regulator', one);
    END LOOP;
    FOREACH one IN ARRAY ARRAY['policies', 'policy_layers', 'policies_published', 'withdrawals_held', 'members_defaulted']
    LOOP
        EXECUTE format('CREATE POLICY member ON %I FOR SELECT TO novate_member USING (true)', one);
        EXECUTE format('GRANT SELECT ON %I TO novate_member', one);
    END LOOP;
    FOREACH one IN ARRAY ARRAY[
        'withdrawals_waiting', 'portfolios_opened', 'portfolios_closed', 'backstop_capacity', 'liquidation_gaps',
        'layers_laid_out', 'losses_borne', 'assessment_capacity', 'porting_checks', 'clients_ported', 'member_standings',
        'close_outs_due', 'resources_moved'
    ] LOOP
        EXECUTE format('CREATE POLICY member ON ' || quote_ident(one) || ' FOR SELECT TO novate_member USING ('
                       || own || ')', 'account');
        EXECUTE format('GRANT SELECT ON %I TO novate_member', one);
    END LOOP;
    FOREACH one IN ARRAY ARRAY['portfolio_bids', 'portfolio_bids_dropped'] LOOP
        EXECUTE format('CREATE POLICY member ON ' || quote_ident(one) || ' FOR SELECT TO novate_member USING ('
                       || own || ')', 'bidder');
        EXECUTE format('GRANT SELECT ON %I TO novate_member', one);
    END LOOP;
    -- What is limited for one owner is nobody else's matter; 1 is BreakerCause.OWNER.
    CREATE POLICY member ON breakers FOR SELECT TO novate_member USING (cause <> 1);
    GRANT SELECT ON breakers TO novate_member;
END
$$;
GRANT SELECT ON losses TO novate_regulator, novate_member;
