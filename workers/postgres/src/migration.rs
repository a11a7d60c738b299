//! A migration as the activities see it: its spec, with the secrets resolved, and its two sides.

use changeover_domain::{
    Direction, Failure, MigrationId, Side,
    proto::{Database, Endpoint, SecretRef, Spec},
};

use crate::{
    connect::{self, Address, Session},
    secret::{self, Known, Secret},
};

/// One side's instance.
#[derive(Clone, Debug)]
pub struct Site {
    /// How the worker reaches it.
    pub address: Address,
    /// Host by which the other server and the poolers reach it.
    pub peer_host: String,
    /// Port by which the other server and the poolers reach it.
    pub peer_port: u16,
    /// A database that always exists.
    pub maintenance_database: String,
    /// Function for what only a superuser may do outside RDS; empty when there is none.
    pub escalation: String,
    id: MigrationId,
}

impl Site {
    /// Opens a session to a database; `purpose` becomes part of its application name.
    pub async fn open(&self, database: &str, purpose: &str) -> Result<Session, Failure> {
        connect::open(&self.address, database, &self.id.application_name(purpose)).await
    }
    /// Opens a session that is given the settings which applications get.
    pub async fn open_to_look(&self, database: &str, purpose: &str) -> Result<Session, Failure> {
        connect::open_to_look(&self.address, database, &self.id.application_name(purpose)).await
    }
    /// Opens a session to the maintenance database.
    pub async fn open_maintenance(&self, purpose: &str) -> Result<Session, Failure> {
        self.open(&self.maintenance_database, purpose).await
    }
    /// Which side it is.
    pub fn side(&self) -> Side {
        self.address.side
    }
}

/// A migration with its secrets resolved. Lives only inside an activity.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its id.
    pub id: MigrationId,
    /// The spec as it was accepted (references only, no secrets).
    pub spec: Spec,
    /// Where the database lived at first.
    pub source: Site,
    /// Where it is to live.
    pub target: Site,
    /// The login by which the servers read each other.
    pub replication_user: String,
    /// Its password.
    pub replication_password: Secret,
    known: Known,
}

impl Migration {
    /// Resolves a spec's secrets and checks the little that everything rests on.
    pub fn resolve(spec: &Spec) -> Result<Self, Failure> {
        Self::resolve_with(spec, Known::default())
    }
    /// The same with what was found of secrets that stand in nobody's environment or file.
    pub fn resolve_with(spec: &Spec, known: Known) -> Result<Self, Failure> {
        let id = id_of(spec)?;
        let replication = spec.replication.clone().unwrap_or_default();
        Ok(Self {
            source: site(&id, Side::Source, spec.source.as_ref(), &known)?,
            target: site(&id, Side::Target, spec.target.as_ref(), &known)?,
            replication_user: replication.user.clone(),
            replication_password: secret::resolve(replication.password.as_ref(), "replication", &known)?,
            id,
            spec: spec.clone(),
            known,
        })
    }
    /// The secret of a reference of the spec's. `what` says whose it is, for the error.
    pub fn secret(&self, reference: Option<&SecretRef>, what: &str) -> Result<Secret, Failure> {
        secret::resolve(reference, what, &self.known)
    }
    /// One side.
    pub fn site(&self, side: Side) -> &Site {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }
    /// The side that rows come from in a direction (its provider).
    pub fn provider(&self, direction: Direction) -> &Site {
        self.site(direction.from_side())
    }
    /// The side that rows go to in a direction (its subscriber).
    pub fn subscriber(&self, direction: Direction) -> &Site {
        self.site(direction.to_side())
    }
    /// The databases to move, in the spec's order.
    pub fn databases(&self) -> &[Database] {
        &self.spec.databases
    }
    /// The database in which decisions are written: the first one of the spec.
    pub fn control_database(&self) -> &str {
        self.spec.databases.first().map_or("", |d| d.name.as_str())
    }
}

/// The migration's id. CO0101 where the spec's name is none.
pub fn id_of(spec: &Spec) -> Result<MigrationId, Failure> {
    MigrationId::parse(&spec.name).map_err(|e| Failure::refused("CO0101", e.to_string(), "correct `name` in the spec"))
}

/// One side alone, for what comes before the other one is there.
pub fn site_of(spec: &Spec, side: Side, known: &Known) -> Result<Site, Failure> {
    let endpoint = if side == Side::Source { &spec.source } else { &spec.target };
    site(&id_of(spec)?, side, endpoint.as_ref(), known)
}

fn site(id: &MigrationId, side: Side, endpoint: Option<&Endpoint>, known: &Known) -> Result<Site, Failure> {
    let endpoint = endpoint.ok_or_else(|| {
        Failure::refused("CO0101", format!("the spec has no [{side}]"), format!("add a [{side}] section"))
    })?;
    let port = |value: u32| {
        u16::try_from(value).map_err(|_| {
            Failure::refused("CO0101", format!("port {value} of the {side} is no TCP port"), "correct it in the spec")
        })
    };
    let worker_port = port(endpoint.port)?;
    Ok(Site {
        address: Address {
            side,
            host: endpoint.host.clone(),
            port: worker_port,
            user: endpoint.user.clone(),
            password: secret::resolve(endpoint.password.as_ref(), side.word(), known)?,
            ca_file: endpoint.ca_file.clone(),
        },
        peer_host: if endpoint.peer_host.is_empty() { endpoint.host.clone() } else { endpoint.peer_host.clone() },
        peer_port: if endpoint.peer_port == 0 { worker_port } else { port(endpoint.peer_port)? },
        maintenance_database: endpoint.maintenance_database.clone(),
        escalation: endpoint.escalation.clone(),
        id: id.clone(),
    })
}
