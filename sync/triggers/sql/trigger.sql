CREATE OR REPLACE TRIGGER {name} {time} {event} ON {table} {rows}
FOR EACH STATEMENT EXECUTE FUNCTION worker_suite.{function}()
