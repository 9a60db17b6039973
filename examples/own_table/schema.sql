-- Tables of somebody's shop, as they are: worker-suite adds nothing to their columns.
CREATE TABLE tools (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text NOT NULL,
    blurb text NOT NULL DEFAULT '',
    cents integer NOT NULL,
    sold  boolean NOT NULL DEFAULT false
);

CREATE TABLE reviews (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tool_id bigint NOT NULL REFERENCES tools ON DELETE CASCADE,
    stars   smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    said    text NOT NULL
);
CREATE INDEX reviews_of_tool ON reviews (tool_id);

INSERT INTO tools (name, blurb, cents) VALUES
    ('Dovetail saw', 'Fine teeth and a stiff brass back, for joints that close without glue.', 5400),
    ('Marking gauge', 'A wheel instead of a pin: it cuts the line and does not tear it.', 3200),
    ('Block plane', 'Low angle, fits one hand, takes the edge off everything.', 8900),
    ('Cabinet scraper', 'A plain piece of steel that leaves a surface no paper can.', 1200);

INSERT INTO reviews (tool_id, stars, said) VALUES
    (1, 5, 'Cuts like a thought.'),
    (1, 4, 'The handle is a little small for me.'),
    (3, 5, 'Sharp out of the box.');
