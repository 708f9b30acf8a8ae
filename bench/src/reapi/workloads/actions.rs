//! The action cache. Each result names one output file, which is in the CAS.

use std::sync::Arc;

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, Digest, ExecutedActionMetadata, GetActionResultRequest, OutputFile, UpdateActionResultRequest,
    digest_function,
};
use prost::Message;

use super::super::call::{Call, Keep};
use super::super::content::{Blob, Content};
use super::super::expect::Expect;
use super::super::waves::Op;
use super::super::workload::{Wave, Workload};
use super::{READ_AGAIN, batch, keep_some};

const GET: &str = "/build.bazel.remote.execution.v2.ActionCache/GetActionResult";
const UPDATE: &str = "/build.bazel.remote.execution.v2.ActionCache/UpdateActionResult";
/// How many output files the results share.
const OUTPUTS: usize = 100;
const OUTPUT_BYTES: usize = 4 * 1024;
/// How many results there are to be hit.
const RESULTS: usize = 10_000;
/// What an action's message has, in bytes: its digest says so.
const ACTION_BYTES: i64 = 140;

/// New results.
pub struct ActionUpdate {
    pub instance: String,
    pub outputs: Vec<Blob>,
}

/// Results that are there.
pub struct ActionHit {
    pub instance: String,
    pub stored: Vec<Op>,
}

/// Results that are not.
pub struct ActionMiss {
    pub instance: String,
}

impl Workload for ActionUpdate {
    fn stock(&mut self, content: &mut Content) -> Vec<Op> {
        self.outputs = (0..OUTPUTS).map(|_| content.blob(OUTPUT_BYTES)).collect();
        vec![batch::update(&self.instance, Arc::new(self.outputs.clone()))]
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let mut wave = Wave::default();
        let step = (calls / READ_AGAIN).max(1);
        for call in 0..calls {
            let (action, result) = new_result(&self.outputs, content);
            let keep = keep_some(content);
            wave.ops.push(update(&self.instance, action.clone(), Arc::clone(&result), keep));
            if call % step == 0 {
                wave.proof.push(get(&self.instance, action, Expect::Action(result)));
            }
        }
        wave
    }

    fn wave_calls(&self) -> (usize, usize) {
        (1_000, 100_000)
    }
}

impl Workload for ActionHit {
    fn stock(&mut self, content: &mut Content) -> Vec<Op> {
        let outputs: Vec<_> = (0..OUTPUTS).map(|_| content.blob(OUTPUT_BYTES)).collect();
        let mut uploads = Vec::new();
        for _ in 0..RESULTS {
            let (action, result) = new_result(&outputs, content);
            self.stored.push(get(&self.instance, action.clone(), Expect::Action(Arc::clone(&result))));
            uploads.push(update(&self.instance, action, result, Keep::Length));
        }
        uploads.push(batch::update(&self.instance, Arc::new(outputs)));
        uploads
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let any = |content: &mut Content| self.stored[content.below(RESULTS as u64) as usize].clone();
        let ops = (0..calls).map(|_| Op { keep: keep_some(content), ..any(content) });
        Wave { ops: ops.collect(), ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (1_000, 200_000)
    }
}

impl Workload for ActionMiss {
    fn stock(&mut self, _content: &mut Content) -> Vec<Op> {
        Vec::new()
    }

    fn wave(&mut self, content: &mut Content, calls: usize) -> Wave {
        let ops = (0..calls).map(|_| get(&self.instance, content.digest(ACTION_BYTES), Expect::NotFound));
        Wave { ops: ops.collect(), ..Wave::default() }
    }

    fn wave_calls(&self) -> (usize, usize) {
        (1_000, 200_000)
    }
}

fn new_result(outputs: &[Blob], content: &mut Content) -> (Digest, Arc<ActionResult>) {
    let action = content.digest(ACTION_BYTES);
    let output = &outputs[content.below(outputs.len() as u64) as usize];
    let path = format!("bazel-out/k8-fastbuild/bin/some/package/{}.o", &action.hash[..8]);
    let result = ActionResult {
        output_files: vec![OutputFile { path, digest: Some(output.digest()), ..Default::default() }],
        execution_metadata: Some(ExecutedActionMetadata { worker: "bench".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    (action, Arc::new(result))
}

fn update(instance: &str, action: Digest, result: Arc<ActionResult>, keep: Keep) -> Op {
    let request = UpdateActionResultRequest {
        instance_name: instance.to_owned(),
        action_digest: Some(action),
        action_result: Some((*result).clone()),
        digest_function: digest_function::Value::Sha256.into(),
        ..Default::default()
    };
    let call = Call::Unary { method: UPDATE, request: request.encode_to_vec().into() };
    Op { call, keep, expect: Expect::Action(result) }
}

fn get(instance: &str, action: Digest, expect: Expect) -> Op {
    let request = GetActionResultRequest {
        instance_name: instance.to_owned(),
        action_digest: Some(action),
        digest_function: digest_function::Value::Sha256.into(),
        ..Default::default()
    };
    let call = Call::Unary { method: GET, request: request.encode_to_vec().into() };
    Op { call, keep: Keep::All, expect }
}
