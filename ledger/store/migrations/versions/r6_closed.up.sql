INSERT INTO codes (enum, code, name) VALUES
    ('Parameter', 58, 'CLOSE_DEFAULTED'),
    ('Parameter', 59, 'REVERSAL_KEEPS_FUND'),
    ('Parameter', 60, 'PORTING_MARGIN'),
    ('Parameter', 61, 'OWN_TRADES_CLIP'),
    ('Parameter', 62, 'UNMET_CALLS_SOLD'),
    ('Parameter', 64, 'AUCTION_CLEARING'),
    ('Parameter', 65, 'PLAN_TARGET'),
    ('Reason', 203, 'PORTING_TAKER_BELOW_MARGIN'),
    ('Rung', 5, 'CLOSED');
COMMENT ON COLUMN margins.before IS 'The health ladder of an account: codes: Rung';
COMMENT ON COLUMN margins.after IS 'The health ladder of an account: codes: Rung';

-- An account that is closed when its deficit was paid (5) is called for nothing any more.
CREATE OR REPLACE VIEW calls WITH (security_invoker) AS
SELECT r.* FROM rungs r JOIN margins m ON m.n = r.n AND m.index = r.index AND m.account = r.account AND m.mark = r.mark
WHERE m.after > m.before AND m.after BETWEEN 2 AND 4;
