-- Why a robots.txt could not be had, so that its pages can say so.
ALTER TABLE origins
    ADD COLUMN reason text NOT NULL DEFAULT '',
    ADD COLUMN detail text NOT NULL DEFAULT '';
