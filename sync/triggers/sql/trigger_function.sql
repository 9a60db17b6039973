CREATE OR REPLACE FUNCTION worker_suite.{function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {search_path} AS {quote}
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO worker_suite.outbox (source, id) {of_inserted};
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO worker_suite.outbox (source, id) {of_updated};
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO worker_suite.outbox (source, id) {of_deleted};
    ELSE
        INSERT INTO worker_suite.outbox (source, id) {of_truncated};
    END IF;
    IF FOUND THEN
        PERFORM worker_suite.outbox_wake();
    END IF;
    RETURN NULL;
END
{quote}
