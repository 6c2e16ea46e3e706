REVOKE ALL ON SCHEMA public FROM novate_projector, novate_regulator, novate_member;
REVOKE ALL ON alembic_version FROM novate_projector, novate_regulator;
DO $$
DECLARE
    made text;
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM novate_projector, novate_regulator, novate_member',
                   current_database());
    FOREACH made IN ARRAY ARRAY['novate_projector', 'novate_regulator', 'novate_member'] LOOP
        BEGIN
            EXECUTE format('DROP ROLE %I', made);
        EXCEPTION WHEN dependent_objects_still_exist THEN
            RAISE NOTICE 'role % stays: another database of this server has its rows', made;
        END;
    END LOOP;
END
$$;
