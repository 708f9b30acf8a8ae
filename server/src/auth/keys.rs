//! The Ed25519 key that signs API tokens: made at first start, kept in the data folder, readable by its owner alone.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use jsonwebtoken::{DecodingKey, EncodingKey};

/// The file below the data folder.
const KEY_FILE: &str = "keys/token-signing.pem";

/// Both halves of the key.
pub struct Keys {
    /// Signs.
    pub signing: EncodingKey,
    /// Checks.
    pub checking: DecodingKey,
}

/// Reads the key of a data folder; makes it first when there is none.
pub fn load_or_create(data: &Path) -> Result<Keys> {
    let path = data.join(KEY_FILE);
    let pem = match fs::read_to_string(&path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(&path)?,
        Err(error) => return Err(error).with_context(|| format!("cannot read the token key {}", path.display())),
    };
    let key = SigningKey::from_pkcs8_pem(&pem)
        .with_context(|| format!("{} is not an Ed25519 key in PKCS #8", path.display()))?;
    let public = key.verifying_key().to_public_key_pem(LineEnding::LF)?;
    Ok(Keys {
        signing: EncodingKey::from_ed_pem(pem.as_bytes())?,
        checking: DecodingKey::from_ed_pem(public.as_bytes())?,
    })
}

/// Makes a key. It is written beside its place and linked there, so that two starts at once agree on one.
fn create(path: &Path) -> Result<String> {
    let folder = path.parent().context("the key file has a folder")?;
    fs::create_dir_all(folder)?;
    let seed: [u8; 32] = rand::random();
    let pem = SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF)?;
    let fresh = folder.join(format!(".token-signing.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot write the token key {}", path.display()))
        }
        _ => Ok(fs::read_to_string(path)?),
    }
}
