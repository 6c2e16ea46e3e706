-- Parameters and reasons of several feeds, ages and pegs.
INSERT INTO codes (enum, code, name) VALUES
    ('Parameter', 11, 'ORACLE_MIN_FEEDS'),
    ('Parameter', 12, 'ORACLE_FEED_DEVIATION'),
    ('Parameter', 13, 'ORACLE_MAX_UNCERTAINTY'),
    ('Parameter', 14, 'ORACLE_FORWARD_AGE'),
    ('Parameter', 15, 'ORACLE_FORWARD_DEVIATION'),
    ('Parameter', 16, 'ORACLE_VOLATILITY_AGE'),
    ('Parameter', 17, 'ORACLE_VOLATILITY_DEVIATION'),
    ('Parameter', 18, 'ORACLE_ASSET_AGE'),
    ('Parameter', 19, 'ORACLE_ASSET_DEVIATION'),
    ('Parameter', 20, 'ORACLE_WIDENING'),
    ('Parameter', 21, 'PEG_BOUND'),
    ('Parameter', 22, 'DEPEG_HAIRCUT'),
    ('Reason', 75, 'WITHDRAWAL_PRICE_STALE'),
    ('Reason', 76, 'WITHDRAWAL_DEPEGGED'),
    ('Reason', 85, 'ORACLE_UNKNOWN_FEED'),
    ('Reason', 86, 'ORACLE_UNCERTAIN'),
    ('Reason', 87, 'ORACLE_FEW_FEEDS');
COMMENT ON COLUMN parameter_changes.parameter IS 'What a parameter change may change. Values are integers in the unit named: codes: Parameter';
COMMENT ON COLUMN parameters.parameter IS 'What a parameter change may change. Values are integers in the unit named: codes: Parameter';
