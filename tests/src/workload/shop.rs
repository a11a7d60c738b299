//! What the application does in database `shop`. Every name here is in `tests/sql/sample/shop`.

use super::transaction::{Own, Tx, big_doc, big_value};
use tokio_postgres::Error;

/// Operations and their weights.
pub const OPERATIONS: &[(&str, u32)] = &[
    ("single", 6),
    ("customer", 8),
    ("order", 16),
    ("order_state", 8),
    ("order_move", 3),
    ("order_delete", 4),
    ("transfer", 14),
    ("ticket", 6),
    ("ticket_delete", 2),
    ("refund", 4),
    ("numbers", 5),
    ("big_value", 4),
    ("big_doc", 4),
    ("profile", 6),
    ("movement", 8),
    ("access", 6),
    ("note", 3),
    ("booking", 2),
    ("remark", 3),
    ("price", 4),
    ("staff", 2),
];

/// Tables that operations choose rows from by `id`.
pub const BOUNDS: &[&str] = &["sales.customer", "sales.product"];

/// Runs one operation as a whole transaction.
pub async fn run(tx: &mut Tx<'_>) -> Result<(), Error> {
    if tx.op == "single" {
        let access = ", access as (insert into audit_trail.access_log (at, who, path, took)
            select pg_catalog.now(), 'single', $5, 0.1 from raised)";
        let path = format!("/single/{}/{}", tx.id.client, tx.id.seq);
        return tx.single(access, &[path.into()]).await;
    }
    tx.begin().await?;
    match tx.op {
        "customer" => customer(tx).await?,
        "order" => order(tx).await?,
        "order_state" | "order_move" | "order_delete" => own_order(tx).await?,
        "transfer" => transfer(tx).await?,
        "ticket" => ticket(tx).await?,
        "ticket_delete" => ticket_delete(tx).await?,
        "refund" => refund(tx).await?,
        "numbers" => numbers(tx).await?,
        "big_value" => big_value(tx).await?,
        "big_doc" => big_doc(tx).await?,
        "profile" => profile(tx).await?,
        "movement" => movement(tx).await?,
        "note" => note(tx).await?,
        "booking" => booking(tx).await?,
        "remark" => remark(tx).await?,
        "price" => price(tx).await?,
        "staff" => staff(tx).await?,
        _ => access(tx).await?,
    }
    tx.commit().await
}

async fn customer(tx: &mut Tx<'_>) -> Result<(), Error> {
    let name = format!("Neu {} Ünal-{}", tx.id.client, tx.id.seq);
    let email = format!("w{}.{}@example.org", tx.id.client, tx.id.seq);
    tx.numbered(
        "sales.customer_id_seq",
        "insert into sales.customer (name, email, home, tags, profile, credit)
         values ($1, $2, row('Gasse 1', 'Ort', '01234')::sales.address, array['neu', $1], '{\"level\": 1}', 'NaN') returning id",
        &[name.into(), email.into()],
    )
    .await?;
    Ok(())
}

/// A day in one of the partitions, now and then in the default one.
fn day(tx: &mut Tx<'_>) -> String {
    let year = if tx.pick(0, 19) == 0 { 2031 } else { tx.pick(2025, 2027) };
    format!("{year}-{:02}-{:02}", tx.pick(1, 12), tx.pick(1, 28))
}

async fn order(tx: &mut Tx<'_>) -> Result<(), Error> {
    let (day, customer) = (day(tx), tx.key_of("sales.customer"));
    let order = tx
        .numbered(
            "sales.order_id",
            "insert into sales.orders (placed_on, customer_id, total, note, extra)
             values ($1::date, $2, 12.50, 'wörkload', '{\"k\": [1, 2]}') returning id",
            &[day.as_str().into(), customer.into()],
        )
        .await?;
    let product = tx.key_of("sales.product");
    tx.run(
        "insert into sales.order_line (placed_on, order_id, line_no, product_id, quantity, price, discount)
         select $1::date, $2, l, $3, l, 2.50, case when l = 3 then 'NaN'::numeric end from pg_catalog.generate_series(1, 3) l",
        &[day.as_str().into(), order.into(), product.into()],
    )
    .await?;
    if tx.pick(0, 2) > 0 {
        tx.out.remember.push(Own::Order(day, order));
        return Ok(());
    }
    // Two tables number their rows from one sequence.
    let invoice = tx
        .numbered(
            "sales.document_no",
            "insert into sales.invoice (placed_on, order_id, amount, period)
             values ($1::date, $2, 12.50, pg_catalog.tstzrange(pg_catalog.now(), null)) returning no as id",
            &[day.into(), order.into()],
        )
        .await?;
    if tx.pick(0, 1) == 0 {
        tx.numbered(
            "sales.document_no",
            "insert into sales.credit_note (invoice_no, amount, reason) values ($1, 1, 'Kulanz') returning no as id",
            &[invoice.into()],
        )
        .await?;
    }
    tx.out.remember.push(Own::Invoice(invoice));
    Ok(())
}

async fn own_order(tx: &mut Tx<'_>) -> Result<(), Error> {
    let own = tx.memory.take(|own| match own {
        Own::Order(day, id) => Some((day.clone(), *id)),
        _ => None,
    });
    let Some((day, id)) = own else { return access(tx).await };
    let key = [day.as_str().into(), id.into()];
    let (changed, left) = match tx.op {
        "order_delete" => {
            (tx.run("delete from sales.orders where placed_on = $1::date and id = $2 returning 1", &key).await?, None)
        }
        "order_state" => {
            let sql =
                "update sales.orders set state = 'packed', note = note || '!', extra = extra || '{\"moved\": true}'
                where placed_on = $1::date and id = $2 returning 1";
            (tx.run(sql, &key).await?, Some(day.clone()))
        }
        _ => {
            // To another partition, and the lines follow by their foreign key.
            let to = self::day(tx);
            let [first, second] = key;
            let sql = "update sales.orders set placed_on = $3::date where placed_on = $1::date and id = $2 returning 1";
            (tx.run(sql, &[first, second, to.as_str().into()]).await?, Some(to))
        }
    };
    tx.expect_changed(changed, &format!("order {day} {id}"));
    tx.out.remember.extend(left.map(|day| Own::Order(day, id)));
    Ok(())
}

async fn transfer(tx: &mut Tx<'_>) -> Result<(), Error> {
    let from = tx.pick(1, 400);
    let to = (from + tx.pick(0, 398)) % 400 + 1;
    let amount = tx.pick(1, 5000);
    // In the order of the keys, so that two transfers can't lock each other out.
    for account in [from.min(to), from.max(to)] {
        let change = if account == from { -amount } else { amount };
        let sql = "update bank.account set balance = balance + $2::numeric / 100 where id = $1 returning 1";
        let changed = tx.run(sql, &[account.into(), change.into()]).await?;
        tx.expect_changed(changed, &format!("account {account}"));
    }
    tx.numbered(
        "bank.transfer_id_seq",
        "insert into bank.transfer (from_id, to_id, amount, memo) values ($1, $2, $3::numeric / 100, 'workload') returning id",
        &[from.into(), to.into(), amount.into()],
    )
    .await?;
    Ok(())
}

async fn ticket(tx: &mut Tx<'_>) -> Result<(), Error> {
    let customer = tx.key_of("sales.customer");
    let ticket = tx
        .numbered(
            "crm.ticket_no",
            "insert into crm.ticket (customer_id, subject, body) values ($1, 'Frage', pg_catalog.repeat('lang ', 900)) returning no as id",
            &[customer.into()],
        )
        .await?;
    tx.run("update crm.ticket set version = version + 1 where no = $1", &[ticket.into()]).await?;
    tx.out.remember.push(Own::Ticket(ticket));
    Ok(())
}

async fn ticket_delete(tx: &mut Tx<'_>) -> Result<(), Error> {
    let own = tx.memory.take(|own| match own {
        Own::Ticket(no) => Some(*no),
        _ => None,
    });
    let Some(no) = own else { return ticket(tx).await };
    let changed = tx.run("delete from crm.ticket where no = $1 returning 1", &[no.into()]).await?;
    tx.expect_changed(changed, &format!("ticket {no}"));
    Ok(())
}

async fn refund(tx: &mut Tx<'_>) -> Result<(), Error> {
    let own = tx.memory.take(|own| match own {
        Own::Invoice(no) => Some(*no),
        _ => None,
    });
    let Some(invoice) = own else { return numbers(tx).await };
    tx.out.remember.push(Own::Invoice(invoice));
    tx.numbered(
        "sales.refund_ref",
        "insert into sales.refund (invoice_no, amount, waiting) values ($1, 1, '3 days -1 hour') returning ref as id",
        &[invoice.into()],
    )
    .await?;
    Ok(())
}

/// Numbers that no row takes.
async fn numbers(tx: &mut Tx<'_>) -> Result<(), Error> {
    for sequence in ["sales.batch_no", "sales.document_no", "crm.ticket_no", "sales.refund_ref"] {
        tx.next_number(sequence).await?;
    }
    Ok(())
}

async fn profile(tx: &mut Tx<'_>) -> Result<(), Error> {
    let (customer, value) = (tx.key_of("sales.customer"), tx.pick(0, 1_000_000));
    tx.run(
        "update sales.customer
            set profile = pg_catalog.jsonb_set(profile, '{seen, n}', pg_catalog.to_jsonb($2), true) || '{\"seen\": {\"n\": 1}}',
                credit = case when credit = 'NaN' then 1 else credit + 0.125 end,
                tags = array['x', null]
          where id = $1",
        &[customer.into(), value.into()],
    )
    .await?;
    Ok(())
}

async fn movement(tx: &mut Tx<'_>) -> Result<(), Error> {
    const WAREHOUSES: [&str; 5] = ["HH", "HB", "MÜ", "B", "Übersee"];
    let index = usize::try_from(tx.pick(0, 4)).unwrap_or(0);
    let (warehouse, product, delta) = (WAREHOUSES[index], tx.key_of("sales.product"), tx.pick(-9, 9));
    let day = day(tx);
    tx.numbered(
        "stock.\"Bewegungs-Nr\"",
        "insert into stock.movement (warehouse, moved_on, product_id, delta, why)
         values ($1, $2::date, $3, $4, 'workload') returning id",
        &[warehouse.into(), day.into(), product.into(), delta.into()],
    )
    .await?;
    tx.run(
        "update stock.level set quantity = quantity + $3 where product_id = $1 and warehouse = $2",
        &[product.into(), warehouse.into(), delta.into()],
    )
    .await?;
    Ok(())
}

/// Appends to the table without a key, directly and with the rights of its owner.
async fn access(tx: &mut Tx<'_>) -> Result<(), Error> {
    let path = format!("/{}/{}", tx.id.client, tx.id.seq);
    tx.run("select audit_trail.write_access('app', $1, 0.25)::text", &[path.into()]).await?;
    tx.run("insert into audit_trail.access_log (at, who, path) values ('2026-01-01 00:00+00', 'twin', '/twin')", &[])
        .await?;
    Ok(())
}

async fn note(tx: &mut Tx<'_>) -> Result<(), Error> {
    let tenant = tx.pick(0, 6);
    tx.run("select pg_catalog.set_config('crm.tenant', $1::text, true)", &[tenant.to_string().into()]).await?;
    tx.numbered(
        "crm.note_id_seq",
        "insert into crm.note (tenant, text) values ($1, 'Vermerk') returning id",
        &[tenant.into()],
    )
    .await?;
    Ok(())
}

async fn booking(tx: &mut Tx<'_>) -> Result<(), Error> {
    let (bay, hour) = (1000 + 2 * i64::from(tx.id.client), tx.id.seq);
    tx.numbered(
        "stock.booking_id_seq",
        "insert into stock.booking (bay, during, who)
         select pg_catalog.int4range($1::int4, $1::int4 + 2), pg_catalog.tstzrange(t, t + interval '1 hour'), 'workload'
           from (select timestamptz '2028-01-01 00:00+00' + $2 * interval '1 hour') as at (t)
         returning id",
        &[bay.into(), hour.into()],
    )
    .await?;
    Ok(())
}

async fn remark(tx: &mut Tx<'_>) -> Result<(), Error> {
    let title = format!("Äußerung {}-{}", tx.id.client, tx.id.seq);
    tx.numbered(
        "\"Größe & Maß\".\"Kunden-Äußerungen_Nr_seq\"",
        "insert into \"Größe & Maß\".\"Kunden-Äußerungen\" (\"Überschrift\", \"select\", \"Maß \"\"brutto\"\"\")
         values ($1, E'a\\tb\\\\N\\n', 'NaN') returning \"Nr\" as id",
        &[title.into()],
    )
    .await?;
    Ok(())
}

/// On the table that an index identifies, not a primary key.
async fn price(tx: &mut Tx<'_>) -> Result<(), Error> {
    let (code, day) = (format!("W{}", tx.id.client), tx.pick(1, 28));
    let key = [code.as_str().into(), day.into()];
    let found = tx
        .run("update sales.price_list set price = price + 0.001 where code = $1 and valid_from = date '2026-01-01' + $2::int4 returning 1", &key)
        .await?;
    let [code, day] = key;
    let sql = if found == 0 {
        "insert into sales.price_list (code, valid_from, price) values ($1, date '2026-01-01' + $2::int4, 1)"
    } else {
        "delete from sales.price_list where code = $1 and valid_from = date '2026-01-02' + $2::int4"
    };
    tx.run(sql, &[code, day]).await?;
    Ok(())
}

/// A department, its head, and the head's department: the cycle closes at COMMIT.
async fn staff(tx: &mut Tx<'_>) -> Result<(), Error> {
    // Room for a hundred thousand transactions per client; later ones change the rows of earlier ones.
    let department = 1000 + i64::from(tx.id.client) * 100_000 + tx.id.seq % 100_000;
    let employee = tx
        .numbered(
            "crm.employee_id_seq",
            "insert into crm.employee (name, department_id) values ('Neu', $1) returning id",
            &[department.into()],
        )
        .await?;
    tx.run(
        "insert into crm.department (id, name, head_id) values ($1, 'Neue Abteilung', $2)
         on conflict (id) do update set head_id = excluded.head_id",
        &[department.into(), employee.into()],
    )
    .await?;
    Ok(())
}
