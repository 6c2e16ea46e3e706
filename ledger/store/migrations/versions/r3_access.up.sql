-- Every table is closed by row-level security; a policy opens it. A member's login sees the rows of the member's
-- accounts, and what is told to everybody: listings, marks, prices, funding, parameters. The owner, who alone writes, is
-- not held by it: COPY does not work under row-level security, and a policy for the owner would let everything through.

CREATE TABLE logins (
    login name NOT NULL PRIMARY KEY,
    member bigint NOT NULL
);
COMMENT ON TABLE logins IS 'Which member a login is of.';
COMMENT ON COLUMN logins.login IS 'the login, as PostgreSQL knows it';
COMMENT ON COLUMN logins.member IS 'the member (accounts.member)';

-- session_user, whom the password proved: a role that is put on later changes nothing.
CREATE FUNCTION member_of_login() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
BEGIN ATOMIC
    SELECT l.member FROM logins l WHERE l.login = session_user;
END;
COMMENT ON FUNCTION member_of_login IS 'The member whose login this session was opened with; none for others.';

CREATE FUNCTION own_accounts() RETURNS SETOF bigint LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
BEGIN ATOMIC
    SELECT a.account FROM accounts a WHERE a.member = member_of_login();
END;
COMMENT ON FUNCTION own_accounts IS 'The accounts of the member whose login this session was opened with.';

DO $$
DECLARE
    one name;
    -- ARRAY(SELECT ...) is computed once and then looked up in the account's index, which has customers' accounts alone.
    own CONSTANT text := '%1$I >= 16 AND %1$I = ANY (ARRAY(SELECT own_accounts()))';
BEGIN
    FOR one IN SELECT c.relname FROM pg_class c
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', one);
        IF one <> 'logins' THEN
            EXECUTE format('CREATE POLICY regulator ON %I FOR SELECT TO novate_regulator USING (true)', one);
            EXECUTE format('GRANT SELECT ON %I TO novate_regulator', one);
        END IF;
    END LOOP;
    FOREACH one IN ARRAY ARRAY[
        'codes', 'assets', 'underlyings', 'instruments', 'instrument_changes', 'index_changes', 'funding_rates',
        'settlement_prices', 'parameter_changes', 'profiles', 'instrument_marks', 'asset_marks', 'underlying_marks',
        'marks', 'funding', 'parameters', 'oracle_prices'
    ] LOOP
        EXECUTE format('CREATE POLICY member ON %I FOR SELECT TO novate_member USING (true)', one);
        EXECUTE format('GRANT SELECT ON %I TO novate_member', one);
    END LOOP;
    FOREACH one IN ARRAY ARRAY[
        'accounts', 'account_changes', 'account_links', 'rejections', 'settlements', 'margins', 'liquidations_due',
        'liquidation_positions', 'liquidation_balances', 'orders_closed', 'auctions_opened', 'auctions_closed',
        'deficits', 'deficits_covered', 'deleveraging_candidates', 'withdrawal_answers', 'registrations', 'postings',
        'position_moves'
    ] LOOP
        EXECUTE format('CREATE POLICY member ON ' || quote_ident(one) || ' FOR SELECT TO novate_member USING ('
                       || own || ')', 'account');
        EXECUTE format('GRANT SELECT ON %I TO novate_member', one);
    END LOOP;
    EXECUTE format('CREATE POLICY member ON bids FOR SELECT TO novate_member USING (' || own || ')', 'bidder');
    -- A leg in suspense is its intended account's too.
    EXECUTE format('CREATE POLICY member ON legs FOR SELECT TO novate_member USING (' || own || ' OR '
                   || replace(own, '%1$', '%2$') || ')', 'account', 'intended');
    EXECUTE format('CREATE POLICY member ON transfers FOR SELECT TO novate_member USING (' || own || ' OR '
                   || replace(own, '%1$', '%2$') || ')', 'debit', 'credit');
    GRANT SELECT ON bids, legs, transfers TO novate_member;
END
$$;

GRANT SELECT ON balances, positions, marks_done, totals, rungs, calls, trades, liquidations, fund_movements, withdrawals
TO novate_regulator;
GRANT SELECT ON balances, positions, marks_done, rungs, calls, trades, liquidations, fund_movements, withdrawals
TO novate_member;
REVOKE EXECUTE ON FUNCTION
    n_as_of, balances_at, positions_at, book_at, balances_as_of, positions_as_of, book_as_of, member_of_login,
    own_accounts
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    n_as_of, balances_at, positions_at, book_at, balances_as_of, positions_as_of, book_as_of, member_of_login,
    own_accounts
TO novate_regulator, novate_member;
