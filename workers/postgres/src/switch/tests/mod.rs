//! What the fence stands on, tried with its own code and statements on servers of each major version. The names say the theme,
//! the cases the version.

mod cost;
mod deadman;
mod gate;
mod ground;
mod intruders;
mod kinds;
mod locks;
mod logins;
mod queued;
mod rights;
mod sequences;
mod shop;
