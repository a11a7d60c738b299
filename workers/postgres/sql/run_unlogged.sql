-- Runs the statements of pg_temp.changeover_statement in order. An error is raised anew, so that neither the statement nor its
-- context reaches the log.
do $$
declare
    r record;
begin
    for r in select statement from pg_temp.changeover_statement order by n loop
        begin
            execute r.statement;
        exception when others then
            raise exception using errcode = sqlstate, message = sqlerrm;
        end;
    end loop;
end
$$;
