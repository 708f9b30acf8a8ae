//! Executions as rows. What is looked for has columns; the rest is JSON.

use millrace_engine::error::{Error, Result};
use millrace_engine::execution::Spec;
use millrace_engine::execution::store::{ActiveRecord, FinishedRecord, Standing};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::Properties;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::sqlite::error::During;

/// A [`Spec`] as JSON.
#[derive(Serialize, Deserialize)]
struct SpecJson {
    instance: String,
    function: i32,
    action: (String, i64),
    command: (String, i64),
    #[serde(default)]
    properties: Properties,
    timeout_ms: u64,
    #[serde(default)]
    do_not_cache: bool,
    #[serde(default)]
    invocation_id: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    mnemonic: String,
    #[serde(default)]
    command_line: String,
    queued_ms: i64,
}

pub fn spec_text(spec: &Spec) -> Result<String> {
    let digest = |digest: &Digest| (digest.hex(), digest.size_wire());
    let json = SpecJson {
        instance: spec.instance.to_string(),
        function: spec.action.function().wire(),
        action: digest(&spec.action),
        command: digest(&spec.command),
        properties: spec.properties.clone(),
        timeout_ms: spec.timeout_ms,
        do_not_cache: spec.do_not_cache,
        invocation_id: spec.invocation_id.clone(),
        target: spec.target.clone(),
        mnemonic: spec.mnemonic.clone(),
        command_line: spec.command_line.clone(),
        queued_ms: spec.queued_ms,
    };
    serde_json::to_string(&json).during("write an execution")
}

pub fn standing_text(standing: &Standing) -> Result<String> {
    serde_json::to_string(standing).during("write an execution")
}

/// `id, spec, standing`.
pub fn active(row: &SqliteRow) -> Result<ActiveRecord> {
    Ok(ActiveRecord { id: id(row.get(0))?, spec: spec(row.get(1))?, standing: standing(row.get(2))? })
}

/// `id, spec, standing, finished_ms, status_code, response`.
pub fn finished(row: &SqliteRow) -> Result<FinishedRecord> {
    Ok(FinishedRecord {
        id: id(row.get(0))?,
        spec: spec(row.get(1))?,
        standing: standing(row.get(2))?,
        finished_ms: row.get(3),
        status_code: row.get(4),
        response: row.get::<Vec<u8>, _>(5).into(),
    })
}

fn id(bytes: &[u8]) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(unreadable)
}

fn spec(text: &str) -> Result<Spec> {
    let json: SpecJson = serde_json::from_str(text).during("read an execution")?;
    let function = DigestFunction::from_wire(json.function).map_err(unreadable)?;
    let digest = |(hash, size): (String, i64)| Digest::parse(function, &hash, size).map_err(unreadable);
    Ok(Spec {
        instance: InstanceName::parse(&json.instance).map_err(unreadable)?,
        action: digest(json.action)?,
        command: digest(json.command)?,
        properties: json.properties,
        timeout_ms: json.timeout_ms,
        do_not_cache: json.do_not_cache,
        invocation_id: json.invocation_id,
        target: json.target,
        mnemonic: json.mnemonic,
        command_line: json.command_line,
        queued_ms: json.queued_ms,
    })
}

fn standing(text: &str) -> Result<Standing> {
    serde_json::from_str(text).during("read an execution")
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("can't read an execution: {error}"))
}
