-- The two databases of the sample instance. Run in database `postgres`, one statement at a time (CREATE DATABASE can't be in a
-- transaction); leave out what already exists.
create database shop owner shop_owner template template0 encoding 'UTF8' lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8';
create database billing owner billing_owner template template0 encoding 'UTF8' lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8' connection limit 80;
