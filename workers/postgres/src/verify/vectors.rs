//! Known values: do both servers hash and write values alike?

use changeover_domain::Failure;

use super::statements::Hash;
use crate::Session;

/// One value per type whose text depends on the server's version or on a setting.
const WRITTEN: &str = "select row(1::float8 / 3, 1e-320::float8, '-0'::float8, 'nan'::float4, 0.1::float4, 1.00::numeric, 'nan'::numeric, \
    '2024-02-29 23:59:59.999999+00'::timestamptz, '0044-03-15 bc'::date, 'infinity'::timestamp, '-1 year 2 mons -3 days 04:05:06.000007'::interval, \
    '\\x00ff'::bytea, 1234.5::money, '{1,null,\"a b\"}'::text[], '[1,5)'::int4range, 'pg_class'::regclass, '{\"b\": 1.0, \"a\": null}'::jsonb, \
    '10.0.0.1/8'::inet, true, null, '')::text";

const VALUES: &str = "(values (''), ('a'), ('changeover'), (repeat('0123456789', 100)), (' x ')) as v (t)";

async fn vectors(session: &Session, hash: Hash) -> Result<String, Failure> {
    let (first, second) = (hash.half("v.t", 0), hash.half("v.t", 1));
    let sql = format!(
        "select string_agg(({first})::text || ' ' || ({second})::text, ',' order by length(v.t), v.t collate \"C\") from {VALUES}"
    );
    one(session, &sql, "hashing known values").await
}

async fn one(session: &Session, sql: &str, what: &str) -> Result<String, Failure> {
    Ok(session.query_one(sql, &[]).await.map_err(session.failed(what))?.get(0))
}

/// Chooses a hash on which both servers agree, and makes sure that they write values alike.
pub(super) async fn choose(provider: &Session, subscriber: &Session) -> Result<Hash, Failure> {
    let (ours, theirs) = tokio::try_join!(
        one(provider, WRITTEN, "writing known values"),
        one(subscriber, WRITTEN, "writing known values")
    )?;
    if ours != theirs {
        let message = format!(
            "database {}: the two servers write the same values differently, so that their texts can't be compared",
            provider.database
        );
        return Err(Failure::refused(
            "CO0602",
            message,
            "compare the versions of both servers: PostgreSQL 12 and later write floating-point numbers alike",
        ));
    }
    let encoding = "select current_setting('server_encoding')";
    let (ours, theirs) = tokio::try_join!(
        one(provider, encoding, "reading the encoding"),
        one(subscriber, encoding, "reading the encoding")
    )?;
    let wanted = if ours == theirs { Hash::Extended } else { Hash::ExtendedHex };
    let (ours, theirs) = tokio::try_join!(vectors(provider, wanted), vectors(subscriber, wanted))?;
    Ok(if ours == theirs { wanted } else { Hash::Sha256 })
}
