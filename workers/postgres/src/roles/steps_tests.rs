use super::*;

fn role(name: &str) -> Role {
    Role {
        name: name.into(),
        superuser: false,
        login: true,
        inherit: true,
        createrole: false,
        createdb: false,
        replication: false,
        bypassrls: false,
        connection_limit: -1,
        valid_until: None,
        comment: None,
    }
}

fn membership(role: &str, member: &str, grantor: &str, admin: bool) -> Membership {
    Membership { role: role.into(), member: member.into(), grantor: Some(grantor.into()), admin }
}

fn sql(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|s| s.sql.as_str()).collect()
}

#[test]
fn a_role_is_made_closed_with_all_its_attributes() {
    let mut r = role("Ä\"x");
    r.connection_limit = 5;
    r.valid_until = Some("2099-12-31 23:59:59+00".into());
    r.inherit = false;
    let expected = "create role \"Ä\"\"x\" nologin noinherit nocreaterole nocreatedb connection limit 5 valid until '2099-12-31 23:59:59+00'";
    assert_eq!(create_role(&r, false).sql, expected);
}

#[test]
fn only_what_differs_is_altered() {
    let mut have = role("a");
    assert_eq!(alter_role(&role("a"), true, &have), None);
    have.valid_until = Some("infinity".into());
    assert_eq!(alter_role(&role("a"), true, &have), None);
    have.createdb = true;
    assert_eq!(alter_role(&role("a"), false, &have).unwrap().sql, "alter role \"a\" nologin nocreatedb");
}

#[test]
fn a_grantor_grants_only_after_it_got_its_own_right() {
    // in the source's order the grant by `lead` comes first
    let want = [membership("g", "bot", "lead", false), membership("g", "lead", "dba", true)];
    let steps = grant_memberships(&want, &[], |_, g| g == "lead");
    assert_eq!(sql(&steps), ["grant \"g\" to \"lead\" with admin option", "grant \"g\" to \"bot\""]);
    assert_eq!(steps[1].as_role.as_deref(), Some("lead"));
    assert_eq!(steps[0].as_role, None);
}

#[test]
fn grantors_in_a_circle_come_to_an_end() {
    let want = [membership("g", "a", "b", true), membership("g", "b", "a", true)];
    let steps = grant_memberships(&want, &[], |_, _| true);
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0].as_role, None);
    assert_eq!(steps[1].as_role.as_deref(), Some("a"));
}

#[test]
fn memberships_are_taken_back_to_the_letter() {
    let have = [membership("g", "a", "x", true), membership("g", "b", "x", false)];
    let want = [membership("g", "a", "x", false)];
    assert_eq!(
        sql(&revoke_memberships(&want, &have)),
        ["revoke admin option for \"g\" from \"a\"", "revoke \"g\" from \"b\""]
    );
    assert!(grant_memberships(&want, &have, |_, _| true).is_empty());
}

#[test]
fn settings_are_set_and_when_exact_also_reset() {
    let setting = |name: &str, value: &str| Setting {
        role: None,
        database: Some("d".into()),
        name: name.into(),
        value: value.into(),
    };
    let (want, have) = ([setting("work_mem", "1MB")], [setting("work_mem", "2MB"), setting("TimeZone", "UTC")]);
    assert_eq!(sql(&settings(&want, &have, false)), ["alter database \"d\" set \"work_mem\" to '1MB'"]);
    assert_eq!(
        sql(&settings(&want, &have, true)),
        ["alter database \"d\" set \"work_mem\" to '1MB'", "alter database \"d\" reset \"TimeZone\""]
    );
}

#[test]
fn a_value_of_a_setting_is_not_in_its_report() {
    let want = [Setting { role: Some("r".into()), database: None, name: "app.key".into(), value: "hunter2".into() }];
    let steps = settings(&want, &[], false);
    assert!(!steps[0].or_report.as_deref().unwrap().contains("hunter2"));
}
