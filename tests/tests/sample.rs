//! The sample instance has what real databases have, loads as RDS's master user, and is the same every time.

use anyhow::{Context, Result, ensure};
use changeover_tests::oracle::compare_rows;
use changeover_tests::sample::{self, Access};
use changeover_tests::stack::{Side, Stack, StackOptions, connect};

/// Each is a query that has a row if the feature is there.
const FEATURES: &[(&str, &str)] = &[
    (
        "several schemas, one of another owner",
        "select from pg_namespace where nspname = 'crm' and nspowner = 'crm_owner'::regrole",
    ),
    ("serial", "select from pg_class s join pg_depend d on d.objid = s.oid where s.relkind = 'S' and d.deptype = 'a'"),
    ("identity always", "select from pg_attribute where attidentity = 'a'"),
    ("identity by default", "select from pg_attribute where attidentity = 'd'"),
    (
        "a shared sequence",
        "select from pg_depend where classid = 'pg_attrdef'::regclass and refobjid = 'sales.document_no'::regclass having count(*) = 2",
    ),
    ("a descending sequence", "select from pg_sequence where seqincrement < 0"),
    ("a cached sequence", "select from pg_sequence where seqcache > 1"),
    ("list partitions", "select from pg_partitioned_table where partstrat = 'l'"),
    ("range partitions", "select from pg_partitioned_table where partstrat = 'r'"),
    ("a default partition", "select from pg_partitioned_table where partdefid <> 0"),
    ("partitions of partitions", "select from pg_class where relispartition and relkind = 'p'"),
    ("jsonb", "select from sales.customer where profile <> '{}'"),
    ("arrays", "select from sales.customer where tags <> '{}'"),
    ("an enum", "select from sales.orders where state = 'Ärger'"),
    (
        "domains",
        "select from pg_attribute a join pg_type t on t.oid = atttypid where typtype = 'd' and attrelid = 'sales.customer'::regclass",
    ),
    ("ranges", "select from sales.product where not isempty(band)"),
    ("NaN", "select from sales.customer where credit = 'NaN'"),
    ("bytea that is toasted", "select from crm.document where pg_column_size(blob) > 8192"),
    (
        "text that is toasted",
        "select from pg_class c join pg_class t on t.oid = c.reltoastrelid where c.oid = 'crm.document'::regclass and pg_relation_size(t.oid) > 0",
    ),
    ("composite keys", "select from pg_constraint where contype = 'p' and cardinality(conkey) > 1"),
    ("a composite foreign key", "select from pg_constraint where contype = 'f' and cardinality(conkey) > 1"),
    ("deferrable foreign keys", "select from pg_constraint where contype = 'f' and condeferrable"),
    (
        "a cycle of foreign keys",
        "select from pg_constraint a join pg_constraint b on a.conrelid = b.confrelid and a.confrelid = b.conrelid where a.contype = 'f' and a.conrelid <> a.confrelid",
    ),
    ("exclusion", "select from pg_constraint where contype = 'x'"),
    ("unique on expressions", "select from pg_index where indisunique and indexprs is not null"),
    ("partial indexes", "select from pg_index where indpred is not null"),
    ("an identity that isn't the primary key", "select from pg_class where relreplident = 'i'"),
    ("ordinary triggers", "select from pg_trigger where tgenabled = 'O' and not tgisinternal"),
    ("ENABLE ALWAYS triggers", "select from pg_trigger where tgenabled = 'A'"),
    ("ENABLE REPLICA triggers", "select from pg_trigger where tgenabled = 'R'"),
    ("disabled triggers", "select from pg_trigger where tgenabled = 'D'"),
    ("policies", "select from pg_policy where not polpermissive"),
    (
        "row-level security that isn't forced",
        "select from pg_class having bool_or(relrowsecurity) and not bool_or(relforcerowsecurity)",
    ),
    ("views", "select from sales.open_orders"),
    ("a materialized view with rows", "select from sales.turnover"),
    ("a materialized view without", "select from pg_matviews where not ispopulated"),
    ("functions with their owner's rights", "select from pg_proc where prosecdef and proowner = 'shop_owner'::regrole"),
    ("pgcrypto", "select from pg_extension where extname = 'pgcrypto'"),
    ("pg_trgm", "select from pg_extension where extname = 'pg_trgm'"),
    (
        "names with quotes, capitals and umlauts",
        "select from \"Größe & Maß\".\"Kunden-Äußerungen\" where \"Maß \"\"brutto\"\"\" > 0",
    ),
    ("comments", "select from pg_description where objoid = 'sales.customer'::regclass"),
    (
        "memberships with admin option",
        "select from pg_auth_members where admin_option and member = 'shop_lead'::regrole",
    ),
    ("memberships by another grantor", "select from pg_auth_members where grantor = 'shop_lead'::regrole"),
    (
        "one right by two grantors",
        "select from pg_class c, aclexplode(relacl) x where c.oid = 'sales.invoice'::regclass and grantee = 'shop_report'::regrole and privilege_type = 'SELECT' having count(*) = 2",
    ),
    (
        "a chain of grantors",
        "select from pg_class c, aclexplode(relacl) x where c.oid = 'sales.invoice'::regclass and grantor::regrole::text = '\"Prüfer\"'",
    ),
    ("column grants", "select from pg_attribute where attacl is not null and attrelid = 'sales.customer'::regclass"),
    (
        "default privileges",
        "select from pg_default_acl where defaclrole = 'shop_owner'::regrole and defaclnamespace = 0",
    ),
    ("ALTER ROLE SET", "select from pg_db_role_setting where setdatabase = 0 and setrole <> 0"),
    ("ALTER ROLE IN DATABASE SET", "select from pg_db_role_setting where setdatabase <> 0 and setrole <> 0"),
    ("ALTER DATABASE SET", "select from pg_db_role_setting where setdatabase <> 0 and setrole = 0"),
    (
        "a table without a key, with identical rows",
        "select from audit_trail.access_log group by access_log having count(*) > 1 limit 1",
    ),
];

/// What pglogical can't carry isn't there.
const ABSENT: &[(&str, &str)] = &[
    ("generated columns", "select from pg_attribute where attgenerated <> ''"),
    ("unlogged tables", "select from pg_class where relpersistence = 'u'"),
    ("large objects", "select from pg_largeobject_metadata"),
    ("deferrable unique constraints", "select from pg_constraint where contype in ('p', 'u') and condeferrable"),
];

const WITHOUT_KEY: &str = "select c.oid::regclass::text from pg_class c
     where c.relkind = 'r' and c.relnamespace::regnamespace::text !~ '^(pg_|information_schema|rds_tools)'
       and not exists (select from pg_index i where i.indrelid = c.oid and (i.indisprimary or i.indisreplident))
     order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_has_every_feature_and_the_same_rows_each_time() -> Result<()> {
    let stack = Stack::start(StackOptions { temporal: None, ..StackOptions::default() }).await?;
    let info = stack.info();
    for side in [Side::Source, Side::Target] {
        sample::load(&Access::master(info, side), 3).await.with_context(|| format!("loading the {}", side.name()))?;
    }
    let client = connect::as_superuser(&info.source, "shop").await?;
    for (feature, query) in FEATURES {
        let rows = client.query(*query, &[]).await.with_context(|| format!("looking for {feature}"))?;
        ensure!(!rows.is_empty(), "not there: {feature}");
    }
    for (feature, query) in ABSENT {
        ensure!(client.query(*query, &[]).await?.is_empty(), "there: {feature}");
    }
    for database in sample::DATABASES {
        let client = connect::as_superuser(&info.source, database).await?;
        let rows = client.query(WITHOUT_KEY, &[]).await?;
        let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        ensure!(found == sample::append_only(database), "without a key in {database}: {found:?}");
    }
    // Loading it again is refused, not mixed.
    ensure!(sample::load(&Access::master(info, Side::Source), 3).await.is_err());
    let left = "select from pg_auth_members where member = 'changeover'::regrole
        and roleid in (select oid from pg_roles where rolname ~ '^(shop|billing|crm)_')";
    ensure!(client.query(left, &[]).await?.is_empty(), "the loader has kept a membership");
    let databases = sample::DATABASES.map(str::to_owned).to_vec();
    let report = compare_rows(&info.source, &info.target, &databases).await?;
    ensure!(report.faults.is_empty() && report.source_rows > 4000, "{report:?}");
    Ok(())
}
