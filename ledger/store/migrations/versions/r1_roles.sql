-- The three groups that logins belong to. Roles are the whole server's: another of its databases may have made them.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['novate_projector', 'novate_regulator', 'novate_member'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT novate_projector TO %I WITH INHERIT TRUE, SET TRUE', current_user);
    END IF;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO novate_projector, novate_regulator, novate_member',
                   current_database());
END
$$;
COMMENT ON ROLE novate_projector IS 'Writes the store and owns it.';
COMMENT ON ROLE novate_regulator IS 'Reads every row.';
COMMENT ON ROLE novate_member IS 'Reads the rows of its own accounts.';
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO novate_projector, novate_regulator, novate_member;
GRANT CREATE ON SCHEMA public TO novate_projector;
GRANT SELECT ON alembic_version TO novate_projector, novate_regulator;
