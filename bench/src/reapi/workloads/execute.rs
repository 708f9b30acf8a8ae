//! Remote execution of actions that do next to nothing: what is measured is everything around the command.

use std::sync::{Arc, OnceLock};

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    Action, Command, Directory, ExecuteRequest, FileNode, digest_function,
};
use prost::Message;

use super::super::call::{Call, Keep};
use super::super::content::{Blob, Content};
use super::super::expect::Expect;
use super::super::waves::Op;
use super::super::workload::{Wave, Workload};
use super::batch;

/// The size of an input file, in bytes.
const INPUT_BYTES: usize = 1024;
/// How many actions are in the cache.
const CACHED: usize = 200;
/// How many ask for the same action at once.
const MERGED: usize = 1_000;
/// How many blobs are stored by one call.
const BATCH_BLOBS: usize = 500;

/// New actions that run `/bin/true`.
pub struct Noop {
    instance: String,
    inputs: usize,
    base: Option<Base>,
}

/// Actions that are in the cache.
pub struct Cached {
    pub instance: String,
    pub stored: Vec<Op>,
    pub ran: bool,
}

/// One new action, asked for by many.
pub struct Merged {
    pub instance: String,
}

/// What actions have in common.
struct Base {
    command: Blob,
    root: Blob,
    inputs: Vec<Blob>,
}

impl Noop {
    /// With so many input files.
    pub fn new(instance: String, inputs: usize) -> Self {
        Self { instance, inputs, base: None }
    }
}

impl Workload for Noop {
    fn stock(&mut self, content: &mut Content) -> Vec<Op> {
        let base = Base::new(content, &["/bin/true"], self.inputs);
        let stock = base.upload(&self.instance);
        self.base = Some(base);
        stock
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let Some(base) = &self.base else { return Wave::default() };
        let actions: Vec<_> = (0..calls).map(|_| base.action(content)).collect();
        let ops = actions.iter().map(|action| execute(&self.instance, action, Expect::Executed { cached: false }));
        Wave { ops: ops.collect(), stock: upload(&self.instance, &actions), ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (200, 20_000)
    }
}

impl Workload for Cached {
    fn stock(&mut self, content: &mut Content) -> Vec<Op> {
        // The calls of a stock are made in no order: the actions run before the first wave.
        let base = Base::new(content, &["/bin/true"], 1);
        let actions: Vec<_> = (0..CACHED).map(|_| base.action(content)).collect();
        let cached = Expect::Executed { cached: true };
        self.stored = actions.iter().map(|action| execute(&self.instance, action, cached.clone())).collect();
        let mut stock = base.upload(&self.instance);
        stock.extend(upload(&self.instance, &actions));
        stock
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let first = |op: &Op| Op { expect: Expect::Executed { cached: false }, ..op.clone() };
        let stock = if self.ran { Vec::new() } else { self.stored.iter().map(first).collect() };
        self.ran = true;
        let ops = (0..calls).map(|_| self.stored[content.below(CACHED as u64) as usize].clone());
        Wave { ops: ops.collect(), stock, ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (1_000, 100_000)
    }
}

impl Workload for Merged {
    fn stock(&mut self, _content: &mut Content) -> Vec<Op> {
        Vec::new()
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let script = "sleep 1; cat /proc/sys/kernel/random/uuid";
        let base = Base::new(content, &["/bin/sh", "-c", script], 1);
        let action = base.action(content);
        let mut stock = base.upload(&self.instance);
        stock.extend(upload(&self.instance, std::slice::from_ref(&action)));
        let same = Expect::SameExecution(Arc::new(OnceLock::new()));
        let ops = (0..calls).map(|_| execute(&self.instance, &action, same.clone()));
        Wave { ops: ops.collect(), stock, ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (MERGED, MERGED)
    }

    fn at_once(&self) -> Option<usize> {
        Some(MERGED)
    }
}

impl Base {
    fn new(content: &mut Content, arguments: &[&str], inputs: usize) -> Self {
        let inputs: Vec<_> = (0..inputs).map(|_| content.blob(INPUT_BYTES)).collect();
        let file = |(number, blob): (usize, &Blob)| FileNode {
            name: format!("input-{number:03}"),
            digest: Some(blob.digest()),
            ..Default::default()
        };
        let root = Directory { files: inputs.iter().enumerate().map(file).collect(), ..Default::default() };
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let command = Command { arguments, ..Default::default() };
        Self { command: message(&command), root: message(&root), inputs }
    }

    fn upload(&self, instance: &str) -> Vec<Op> {
        let blobs: Vec<_> = self.inputs.iter().chain([&self.command, &self.root]).cloned().collect();
        upload(instance, &blobs)
    }

    /// A new action: no two have the same salt.
    fn action(&self, content: &mut Content) -> Blob {
        message(&Action {
            command_digest: Some(self.command.digest()),
            input_root_digest: Some(self.root.digest()),
            salt: content.bytes(16).to_vec(),
            ..Default::default()
        })
    }
}

fn message(message: &impl Message) -> Blob {
    Blob::of(message.encode_to_vec().into())
}

fn upload(instance: &str, blobs: &[Blob]) -> Vec<Op> {
    blobs.chunks(BATCH_BLOBS).map(|blobs| batch::update(instance, Arc::new(blobs.to_vec()))).collect()
}

fn execute(instance: &str, action: &Blob, expect: Expect) -> Op {
    let request = ExecuteRequest {
        instance_name: instance.to_owned(),
        action_digest: Some(action.digest()),
        digest_function: digest_function::Value::Sha256.into(),
        ..Default::default()
    };
    Op { call: Call::Execute { request: request.encode_to_vec().into() }, keep: Keep::Length, expect }
}
