//! A certificate authority of the stack's own, and server certificates signed by it.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::path::Path;

/// Signs server certificates for the life of one stack. Its key never leaves memory.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A fresh authority.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Changeover local stack CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The authority's certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes `server.crt` and `server.key` (mode 0600) for `host`, 127.0.0.1 and localhost into `directory`.
    pub fn issue(&self, common_name: &str, host: &str, directory: &Path) -> Result<()> {
        let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        if !names.iter().any(|name| name == host) {
            names.push(host.to_owned());
        }
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        std::fs::write(directory.join("server.crt"), certificate.pem())
            .with_context(|| format!("writing {}/server.crt", directory.display()))?;
        super::files::write_private(&directory.join("server.key"), &key.serialize_pem())
    }
}
