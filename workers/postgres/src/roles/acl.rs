//! Which GRANT and REVOKE turn one list of rights into another. Pure.

use changeover_domain::Ident;

use super::{snapshot::Grant, steps::Step};

/// Rights on `object` (`database "x"`, `schema "y"`, `tables`), to the letter, each granted or revoked as its grantor (a login that
/// belongs to several roles with grant option would leave the choice to the server). Those of `spared` grantees are left alone;
/// `owner` is who owns it now.
pub(crate) fn changes(object: &str, owner: &str, want: &[Grant], have: &[Grant], spared: &[&str]) -> Vec<Step> {
    let same = |a: &Grant, b: &Grant| a.grantor == b.grantor && a.grantee == b.grantee && a.privilege == b.privilege;
    let is_spared = |g: &Grant| g.grantee.as_deref().is_some_and(|grantee| spared.contains(&grantee));
    let on = |g: &Grant| format!("{} on {object}", g.privilege.to_ascii_lowercase());
    let whom =
        |g: &Grant| g.grantee.as_deref().map_or_else(|| "public".to_owned(), |grantee| Ident::new(grantee).to_string());
    let step = |g: &Grant, sql: String| Step::new(sql).by(Some(&g.grantor));
    let mut steps = Vec::new();
    // The owner's grants first: others grant what he gave them.
    for w in want.iter().filter(|w| w.grantor == owner).chain(want.iter().filter(|w| w.grantor != owner)) {
        let found = have.iter().find(|h| same(h, w));
        if found.is_none_or(|h| w.grantable && !h.grantable) {
            let option = if w.grantable { " with grant option" } else { "" };
            steps.push(step(w, format!("grant {} to {}{option}", on(w), whom(w))));
        }
    }
    // For the same reason others' grants are revoked first.
    let surplus = have.iter().filter(|h| !is_spared(h));
    for h in surplus.clone().filter(|h| h.grantor != owner).chain(surplus.filter(|h| h.grantor == owner)) {
        match want.iter().find(|w| same(w, h)) {
            None => steps.push(step(h, format!("revoke {} from {}", on(h), whom(h)))),
            Some(w) if h.grantable && !w.grantable => {
                steps.push(step(h, format!("revoke grant option for {} from {}", on(h), whom(h))));
            }
            Some(_) => {}
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantor: &str, grantee: Option<&str>, privilege: &str, grantable: bool) -> Grant {
        Grant { grantor: grantor.into(), grantee: grantee.map(Into::into), privilege: privilege.into(), grantable }
    }

    #[test]
    fn rights_become_the_wanted_ones() {
        let want = [
            grant("o", Some("o"), "CREATE", false),
            grant("x", Some("y"), "CONNECT", false),
            grant("o", Some("x"), "CONNECT", true),
        ];
        let have = [
            grant("o", Some("o"), "CREATE", false),
            grant("o", None, "CONNECT", false),
            grant("o", Some("repl"), "CONNECT", false),
        ];
        let steps = changes("database \"d\"", "o", &want, &have, &["repl"]);
        let sql: Vec<&str> = steps.iter().map(|s| s.sql.as_str()).collect();
        let expected = [
            "grant connect on database \"d\" to \"x\" with grant option",
            "grant connect on database \"d\" to \"y\"",
            "revoke connect on database \"d\" from public",
        ];
        assert_eq!(sql, expected);
        assert_eq!(steps[1].as_role.as_deref(), Some("x"));
        assert_eq!(steps[0].as_role.as_deref(), Some("o"));
    }

    #[test]
    fn the_grant_option_alone_is_taken() {
        let (want, have) = ([grant("o", Some("a"), "USAGE", false)], [grant("o", Some("a"), "USAGE", true)]);
        assert_eq!(
            changes("schema \"s\"", "o", &want, &have, &[])[0].sql,
            "revoke grant option for usage on schema \"s\" from \"a\""
        );
    }
}
