DELETE FROM codes WHERE (enum = 'Parameter' AND code BETWEEN 11 AND 22)
    OR (enum = 'Reason' AND code IN (75, 76, 85, 86, 87));
COMMENT ON COLUMN parameter_changes.parameter IS 'What a parameter change may change. Values are integers in the unit named: 0 FUND_FEE_SHARE, 1 HAIRCUT, 2 ORACLE_MAX_AGE, 3 ORACLE_MAX_DEVIATION, 4 NOTICE, 5 GRACE, 6 MAX_FEE, 7 AUCTION_STEP, 8 AUCTION_START, 9 AUCTION_FLOOR, 10 FOLD_VERSION';
COMMENT ON COLUMN parameters.parameter IS 'What a parameter change may change. Values are integers in the unit named: 0 FUND_FEE_SHARE, 1 HAIRCUT, 2 ORACLE_MAX_AGE, 3 ORACLE_MAX_DEVIATION, 4 NOTICE, 5 GRACE, 6 MAX_FEE, 7 AUCTION_STEP, 8 AUCTION_START, 9 AUCTION_FLOOR, 10 FOLD_VERSION';
