REVOKE EXECUTE ON FUNCTION
    n_as_of, balances_at, positions_at, book_at, balances_as_of, positions_as_of, book_as_of
FROM novate_regulator, novate_member;
GRANT EXECUTE ON FUNCTION
    n_as_of, balances_at, positions_at, book_at, balances_as_of, positions_as_of, book_as_of
TO PUBLIC;
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'public' LOOP
        EXECUTE format('DROP POLICY %I ON %I', one.policyname, one.tablename);
    END LOOP;
    FOR one IN SELECT c.relname FROM pg_class c
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
                 AND c.relname <> 'alembic_version'
    LOOP
        EXECUTE format('REVOKE ALL ON %I FROM novate_regulator, novate_member', one.relname);
    END LOOP;
    FOR one IN SELECT c.relname FROM pg_class c
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
    LOOP
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', one.relname);
    END LOOP;
END
$$;
DROP FUNCTION own_accounts, member_of_login;
DROP TABLE logins;
