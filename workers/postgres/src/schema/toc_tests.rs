use super::*;

const SCRIPT: &str = r"--
-- PostgreSQL database dump
--

\restrict TOKEN

-- Dumped from database version 15.20

SET statement_timeout = 0;
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- TOC entry 225 (class 1255 OID 16465)
-- Name: f(); Type: FUNCTION; Schema: public; Owner: o; Type: x
-- Data Pos: 0
--

CREATE FUNCTION public.f() RETURNS trigger
    AS $$begin
--
-- TOC entry 999 (class 1259 OID 1)
-- Name: no; Type: TABLE; Schema: public; Owner: o
--

\unrestrict TOKEN
return new; end$$;


ALTER FUNCTION public.f() OWNER TO o;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- TOC entry 222 (class 1259 OID 16459)
-- Dependencies: 5 225
-- Name: a; Type: TABLE; Schema: b; Owner: c; Type: TABLE; Schema: public; Owner: o
-- Data Pos: 0
--

CREATE TABLE x (
    a integer
);


--
-- TOC entry 3423 (class 0 OID 0)
-- Dependencies: 222
-- Name: SCHEMA s; Type: ACL; Schema: -; Owner: 
-- Data Pos: 0
--

GRANT SELECT ON TABLE public.r TO g1;


-- Completed on 2026-11-23 08:14:48 UTC

--
-- PostgreSQL database dump complete
--

\unrestrict TOKEN

";

const LIST: &str = "; comment\n;\n225; 1255 16465 FUNCTION public f() o\n222; 1259 16459 TABLE public a o\n3423; 0 0 ACL - SCHEMA s \n";

fn sections() -> BTreeMap<Id, Section> {
    parse_list(LIST).unwrap().into_iter().map(|id| (id, Section::PreData)).collect()
}

#[test]
fn a_script_is_cut_into_its_entries() {
    let script = parse_script(SCRIPT, &sections()).unwrap();
    assert!(script.standard_strings);
    let titles: Vec<String> = script.entries.iter().map(Entry::title).collect();
    assert_eq!(titles[1], "TABLE public.a; Type: TABLE; Schema: b; Owner: c");
    assert_eq!(titles[2], "ACL SCHEMA s");
    let [f, t, acl] = &script.entries[..] else { panic!("{titles:?}") };
    assert!(f.sql.contains("TOC entry 999") && f.sql.contains("\\unrestrict TOKEN"), "{}", f.sql);
    assert!(f.sql.ends_with("OWNER TO o;"), "{}", f.sql);
    assert_eq!(f.setup, "");
    assert_eq!(t.setup, "SET default_table_access_method = heap;\nSET default_tablespace = '';\n");
    assert_eq!(t.sql, "CREATE TABLE x (\n    a integer\n);");
    assert_eq!((acl.owner.as_deref(), acl.schema.as_deref(), acl.is_acl()), (None, None, true));
    assert_eq!(acl.sql, "GRANT SELECT ON TABLE public.r TO g1;");
}

#[test]
fn a_copy_of_a_real_head_in_a_body_is_refused() {
    let planted = SCRIPT.replace("entry 999 (class 1259 OID 1)", "entry 222 (class 1259 OID 16459)");
    let failure = parse_script(&planted, &sections()).unwrap_err();
    assert_eq!(failure.code, "CO0420");
    assert!(failure.message.contains("twice"), "{failure}");
}

#[test]
fn a_missing_entry_is_refused() {
    let mut more = sections();
    more.insert(Id { entry: 7, class: 1, oid: 2 }, Section::PostData);
    assert!(parse_script(SCRIPT, &more).unwrap_err().message.contains("entry 7"));
}

#[test]
fn a_list_that_is_none_is_refused() {
    assert_eq!(parse_list("x; y").unwrap_err().code, "CO0420");
}
