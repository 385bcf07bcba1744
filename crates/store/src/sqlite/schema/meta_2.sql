-- Companies whose log is closed for good.
CREATE TABLE closed (
    company INTEGER PRIMARY KEY
);
