//! The text of the statements that read a table. Pure: identifiers come quoted from the catalog's facts, values go as text
//! parameters and are cast to the key column's type by the server.
//!
//! A row's content is `row(a, b, …)::text` over the columns by name: PostgreSQL writes each value with its type's output
//! function (what COPY writes, no cast), NULL as nothing and '' as `""`, and quotes what could be taken for a boundary
//! (documentation, 8.16.6): for a given number of columns two different rows never have the same text.

use changeover_domain::{Ident, QualifiedName, verify::Key};

/// How a row's text becomes 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    /// `hashtextextended` with two seeds.
    Extended,
    /// The same over the hexadecimal digits of the text in UTF-8, where the two databases have different encodings.
    ExtendedHex,
    /// 128 bits of SHA-256, where `hashtextextended` gives different values on the two servers.
    Sha256,
}

impl Hash {
    /// The expression of half `half` (0 or 1) over a text.
    pub(super) fn half(self, text: &str, half: u8) -> String {
        match self {
            Hash::Extended => format!("pg_catalog.hashtextextended({text}, {})", 7919 + i64::from(half)),
            Hash::ExtendedHex => {
                let hex = format!("pg_catalog.encode(pg_catalog.convert_to({text}, 'UTF8'), 'hex')");
                format!("pg_catalog.hashtextextended({hex} collate \"C\", {})", 7919 + i64::from(half))
            }
            Hash::Sha256 => {
                let from = 1 + 16 * u32::from(half);
                let hex = format!("pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({text}, 'UTF8')), 'hex')");
                format!("('x' || pg_catalog.substr({hex}, {from}, 16))::pg_catalog.bit(64)::pg_catalog.int8")
            }
        }
    }
    fn both(self, text: &str) -> String {
        format!("{} as h0, {} as h1", self.half(text, 0), self.half(text, 1))
    }
}

/// One column of a key.
#[derive(Clone, Debug)]
pub(super) struct KeyColumn {
    pub(super) name: Ident,
    pub(super) type_name: QualifiedName,
    /// The equality of its index, such as `operator(pg_catalog.=)`.
    pub(super) equals: String,
}

/// What the statements need to know of a table.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) name: QualifiedName,
    pub(super) columns: Vec<Ident>,
    pub(super) key: Vec<KeyColumn>,
    pub(super) hash: Hash,
}

/// A range of keys: after one key (exclusive) up to another (inclusive); `None` is the end of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) after: Option<Key>,
    pub(super) upto: Option<Key>,
}

impl Range {
    /// The values that the statements' parameters take, in order.
    pub(super) fn values(&self) -> impl Iterator<Item = &String> {
        self.after.iter().chain(self.upto.iter()).flatten()
    }
}

impl Shape {
    fn content(&self) -> String {
        format!("row({})::pg_catalog.text collate \"C\"", list(&self.columns, |c| format!("t.{c}")))
    }
    fn key_list(&self) -> String {
        list(&self.key, |k| format!("t.{}", k.name))
    }
    /// The key's values as text, by the types' output functions.
    fn key_texts(&self) -> String {
        let mut place = 0;
        list(&self.key, |k| {
            place += 1;
            format!("pg_catalog.format('%s', t.{}) as k{place}", k.name)
        })
    }
    fn key_names(&self, alias: &str) -> String {
        (1..=self.key.len()).map(|n| format!("{alias}.k{n}")).collect::<Vec<_>>().join(", ")
    }
    fn parameters(&self, first: usize) -> String {
        let mut place = first;
        list(&self.key, |k| {
            place += 1;
            format!("${}::pg_catalog.text::{}", place - 1, k.type_name)
        })
    }
    fn within(&self, range: &Range) -> String {
        let mut conditions = Vec::new();
        let mut first = 1;
        if range.after.is_some() {
            conditions.push(format!("({}) > ({})", self.key_list(), self.parameters(first)));
            first += self.key.len();
        }
        if range.upto.is_some() {
            conditions.push(format!("({}) <= ({})", self.key_list(), self.parameters(first)));
        }
        if conditions.is_empty() { String::new() } else { format!(" where {}", conditions.join(" and ")) }
    }
    /// The key of the `offset`th row (from 0) of a range, in key order.
    pub(super) fn boundary(&self, range: &Range, offset: u64) -> String {
        format!(
            "select {} from only {} t{} order by {} limit 1 offset {offset}",
            self.key_texts(),
            self.name,
            self.within(range),
            self.key_list()
        )
    }
    /// Rows, hash and bytes of a range. `offset 0` keeps the text from being computed once per use.
    pub(super) fn digest(&self, range: &Range) -> String {
        format!(
            "select pg_catalog.count(*), {} from (select {} as c from only {} t{} offset 0) r",
            self.sums("r.c"),
            self.content(),
            self.name,
            self.within(range)
        )
    }
    fn sums(&self, text: &str) -> String {
        format!(
            "coalesce(pg_catalog.sum({}), 0)::pg_catalog.text, coalesce(pg_catalog.sum({}), 0)::pg_catalog.text, \
             coalesce(pg_catalog.sum(pg_catalog.octet_length({text})), 0)::pg_catalog.int8",
            self.hash.half(text, 0),
            self.hash.half(text, 1)
        )
    }
    /// Key and hash of each row of a range, in key order.
    pub(super) fn rows(&self, range: &Range) -> String {
        format!(
            "select {}, {} from (select {}, {} as c from only {} t{} order by {} offset 0) r",
            self.key_names("r"),
            self.hash.both("r.c"),
            self.key_texts(),
            self.content(),
            self.name,
            self.within(range),
            self.key_list()
        )
    }
    /// Order text, key and hash of every row, in the byte order of the key's text: an order on which all servers agree.
    pub(super) fn ordered_rows(&self) -> String {
        let texts = list(&self.key, |k| format!("pg_catalog.format('%s', t.{})", k.name));
        let order = match self.hash {
            Hash::Extended => format!("row({texts})::pg_catalog.text"),
            Hash::ExtendedHex | Hash::Sha256 => {
                format!("pg_catalog.encode(pg_catalog.convert_to(row({texts})::pg_catalog.text, 'UTF8'), 'hex')")
            }
        };
        format!(
            "select x.* from (select r.o, {}, {}, pg_catalog.octet_length(r.c) as bytes from \
             (select {order} as o, {}, {} as c from only {} t offset 0) r offset 0) x order by x.o collate \"C\"",
            self.key_names("r"),
            self.hash.both("r.c"),
            self.key_texts(),
            self.content(),
            self.name,
        )
    }
    /// Hash, number and bytes of equal rows, ordered by hash: what is left to compare where there is no key. The number is that of
    /// all rows twice; or with `aged` of the rows older than each of two transactions, `$1` and `$2` of those before `$3`, the
    /// next one to come (transaction numbers wrap around). With `some` only of rows whose first half is in the last
    /// parameter, and with the place of one of them, for a person to look at.
    pub(super) fn multiset(&self, aged: bool, some: bool) -> String {
        let older = |first: &str| {
            format!(
                "pg_catalog.count(*) filter (where ((x.age - {first}::pg_catalog.int8) & 4294967295) \
                 >= (($3::pg_catalog.int8 - {first}::pg_catalog.int8) & 4294967295))"
            )
        };
        let counts = if aged {
            format!("{}, {}", older("$1"), older("$2"))
        } else {
            "pg_catalog.count(*), pg_catalog.count(*)".into()
        };
        let age = if aged { "t.xmin::pg_catalog.text::pg_catalog.int8" } else { "0" };
        let parameter = if aged { 4 } else { 1 };
        let (place, chosen, least) = if some {
            (
                "t.ctid::pg_catalog.text",
                format!(" where x.h0 = any (${parameter}::pg_catalog.int8[])"),
                "pg_catalog.min(x.place)",
            )
        } else {
            ("null::pg_catalog.text", String::new(), "null::pg_catalog.text")
        };
        format!(
            "select x.h0, x.h1, {counts}, pg_catalog.sum(x.bytes)::pg_catalog.int8, {least} from \
             (select {}, pg_catalog.octet_length(r.c) as bytes, r.age, r.place from \
             (select {} as c, {age} as age, {place} as place from only {} t offset 0) r offset 0) x{chosen} \
             group by x.h0, x.h1 order by x.h0, x.h1",
            self.hash.both("r.c"),
            self.content(),
            self.name,
        )
    }
    /// Reads keys again: one array parameter per key column; place in the arrays, version, hash; no row for an absent key.
    pub(super) fn keys(&self) -> String {
        let arrays = (1..=self.key.len()).map(|n| format!("${n}::pg_catalog.text[]")).collect::<Vec<_>>().join(", ");
        let names = (1..=self.key.len()).map(|n| format!("k{n}")).collect::<Vec<_>>().join(", ");
        format!(
            "select q.n::pg_catalog.int8, r.version, {} from unnest({arrays}) with ordinality as q ({names}, n) cross join lateral \
             (select t.xmin::pg_catalog.text || ' ' || t.ctid::pg_catalog.text as version, {} as c from only {} t where {} offset 0) r",
            self.hash.both("r.c"),
            self.content(),
            self.name,
            self.matching(|n| format!("q.k{n}")),
        )
    }
    /// Locks one row against change: one text parameter per key column.
    pub(super) fn lock(&self) -> String {
        format!("select 1 from only {} t where {} for share", self.name, self.matching(|n| format!("${n}")))
    }
    /// Keeps writers out of the table.
    pub(super) fn lock_table(&self) -> String {
        format!("lock table only {} in share mode", self.name)
    }
    fn matching(&self, value: impl Fn(usize) -> String) -> String {
        let conditions = self
            .key
            .iter()
            .enumerate()
            .map(|(n, k)| format!("t.{} {} {}::pg_catalog.text::{}", k.name, k.equals, value(n + 1), k.type_name));
        conditions.collect::<Vec<_>>().join(" and ")
    }
}

fn list<T>(items: &[T], each: impl FnMut(&T) -> String) -> String {
    items.iter().map(each).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(hash: Hash) -> Shape {
        let key = |name: &str, type_name: &str| KeyColumn {
            name: Ident::new(name),
            type_name: QualifiedName::new("pg_catalog", type_name),
            equals: "operator(pg_catalog.=)".into(),
        };
        Shape {
            name: QualifiedName::new("s", "t\"x"),
            columns: ["b", "a", "c"].map(Ident::from).to_vec(),
            key: vec![key("a", "int4"), key("b", "text")],
            hash,
        }
    }

    fn range(after: bool, upto: bool) -> Range {
        let key = |name: &str| Some(vec![name.to_owned(), name.to_owned()]);
        Range { after: after.then(|| key("x")).flatten(), upto: upto.then(|| key("y")).flatten() }
    }

    #[test]
    fn a_range_takes_as_many_parameters_as_it_has_values() {
        for (after, upto) in [(false, false), (true, false), (false, true), (true, true)] {
            let range = range(after, upto);
            let values = range.values().count();
            for sql in [
                shape(Hash::Extended).digest(&range),
                shape(Hash::Extended).rows(&range),
                shape(Hash::Extended).boundary(&range, 7),
            ] {
                for place in 1..=values {
                    assert!(sql.contains(&format!("${place}::")), "{sql}");
                }
                assert!(!sql.contains(&format!("${}::", values + 1)), "{sql}");
            }
        }
    }

    #[test]
    fn a_range_is_open_below_and_closed_above() {
        let sql = shape(Hash::Extended).digest(&range(true, true));
        let (first, second) =
            ("$1::pg_catalog.text::\"pg_catalog\".\"int4\"", "$2::pg_catalog.text::\"pg_catalog\".\"text\"");
        assert!(sql.contains(&format!("(t.\"a\", t.\"b\") > ({first}, {second})")), "{sql}");
        assert!(sql.contains("(t.\"a\", t.\"b\") <= ($3::"), "{sql}");
        assert!(sql.contains("from only \"s\".\"t\"\"x\" t where"), "{sql}");
    }

    #[test]
    fn content_names_the_columns_in_the_given_order() {
        let sql = shape(Hash::Extended).keys();
        assert!(sql.contains("row(t.\"b\", t.\"a\", t.\"c\")::pg_catalog.text collate \"C\""), "{sql}");
        assert!(sql.contains("t.\"a\" operator(pg_catalog.=) q.k1::pg_catalog.text::\"pg_catalog\".\"int4\""), "{sql}");
    }

    #[test]
    fn the_two_halves_of_every_hash_differ() {
        for hash in [Hash::Extended, Hash::ExtendedHex, Hash::Sha256] {
            assert_ne!(hash.half("r.c", 0), hash.half("r.c", 1));
        }
    }
}
