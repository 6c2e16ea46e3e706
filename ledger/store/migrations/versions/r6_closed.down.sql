CREATE OR REPLACE VIEW calls WITH (security_invoker) AS
SELECT r.* FROM rungs r JOIN margins m ON m.n = r.n AND m.index = r.index AND m.account = r.account AND m.mark = r.mark
WHERE m.after > m.before AND m.after >= 2;
COMMENT ON COLUMN margins.before IS 'The health ladder of an account, best first: 0 HEALTHY, 1 REDUCE_ONLY, 2 CALLED, 3 LIQUIDATING, 4 DEFICIT';
COMMENT ON COLUMN margins.after IS 'The health ladder of an account, best first: 0 HEALTHY, 1 REDUCE_ONLY, 2 CALLED, 3 LIQUIDATING, 4 DEFICIT';
DELETE FROM codes WHERE (enum = 'Parameter' AND code IN (58, 59, 60, 61, 62, 64, 65))
    OR (enum = 'Reason' AND code = 203)
    OR (enum = 'Rung' AND code = 5);
