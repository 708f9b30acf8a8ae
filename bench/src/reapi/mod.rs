//! A remote cache or remote execution, measured: any server of REAPI, or two of them in turns. Knows nothing of Millrace.

pub mod call;
pub mod content;
pub mod expect;
mod raw_codec;
pub mod table;
pub mod waves;
pub mod workload;
mod workloads;

use anyhow::{Context, Result};

use self::content::Content;
use self::table::{Memory, Row, Table};
use self::waves::{Connections, Measured, Op};
use self::workload::{Name, Workload, workload};
use crate::process::{cpu_seconds, peak_megabytes, resident_megabytes};

/// How long a wave should take; it is shorter where the whole measurement is.
const WAVE_SECONDS: f64 = 1.0;
/// The least number of waves that a measurement is made of, after the first.
const WAVES_MIN: f64 = 3.0;

/// A server to be measured.
pub struct Side {
    /// How the table calls it.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Sent as a bearer; empty: none.
    pub token: String,
    /// The instance name of each call.
    pub instance: String,
    /// Its process, if it is known.
    pub pid: Option<u32>,
}

/// How it is measured.
pub struct Load {
    /// What is measured.
    pub names: Vec<Name>,
    /// How long each of them lasts, without what is not timed.
    pub seconds: f64,
    /// Connections to each server.
    pub connections: usize,
    /// Calls at once over all of them.
    pub at_once: usize,
    /// How many messages of 1 MiB a large blob has.
    pub messages: usize,
    /// What all content comes from.
    pub seed: u64,
}

/// One measurement of one server.
struct Run<'a> {
    side: &'a Side,
    connections: Connections,
    workload: Box<dyn Workload>,
    content: Content,
    at_once: usize,
    measured: Measured,
    /// CPU that the server used for it, in seconds.
    cpu: Option<f64>,
    /// Calls in a second, as far as it is known.
    rate: f64,
}

/// Measures each server; where there are two, wave by wave in turns.
pub async fn measure(title: &'static str, sides: &[Side], load: &Load) -> Result<Table> {
    let mut table = Table::new(title, sides.iter().map(|side| side.name.clone()).collect(), load.seed);
    for side in sides {
        table.memory.push(Memory { start: side.pid.and_then(resident_megabytes), ..Memory::default() });
    }
    for name in &load.names {
        eprintln!("measuring {name:?} ...");
        let row = measure_one(sides, load, *name).await?;
        for failure in row.sides.iter().filter_map(|side| side.as_ref().err()) {
            eprintln!("{name:?}: {failure:#}");
        }
        table.rows.push(row);
    }
    for (memory, side) in table.memory.iter_mut().zip(sides) {
        memory.after = side.pid.and_then(resident_megabytes);
        memory.peak = side.pid.and_then(peak_megabytes);
    }
    Ok(table)
}

async fn measure_one(sides: &[Side], load: &Load, name: Name) -> Result<Row> {
    let mut runs = Vec::new();
    for side in sides {
        let mut run = Run::new(side, load, name)?;
        runs.push(match run.begin().await {
            Ok(()) => Ok(run),
            Err(error) => Err(error),
        });
    }
    let wave_seconds = WAVE_SECONDS.min(load.seconds / WAVES_MIN);
    loop {
        let mut more = false;
        for run in &mut runs {
            let Ok(running) = run else { continue };
            if let Err(error) = running.wave(wave_seconds).await {
                *run = Err(error);
                continue;
            }
            more |= running.measured.took.as_secs_f64() < load.seconds;
        }
        if !more {
            break;
        }
    }
    let call_bytes = workload(name, "", load.messages).call_bytes();
    let measured = |run: Run<'_>| (run.measured, run.cpu);
    Ok(Row { name, call_bytes, sides: runs.into_iter().map(|run| run.map(measured)).collect() })
}

impl<'a> Run<'a> {
    fn new(side: &'a Side, load: &Load, name: Name) -> Result<Self> {
        let workload = workload(name, &side.instance, load.messages);
        Ok(Self {
            side,
            connections: Connections::new(&side.url, &side.token, load.connections)?,
            at_once: workload.at_once().unwrap_or(load.at_once),
            workload,
            content: Content::new(load.seed, &format!("{} {name:?}", side.name)),
            measured: Measured::default(),
            cpu: side.pid.and_then(cpu_seconds).map(|_| 0.0),
            rate: 0.0,
        })
    }

    /// What has to be there, and a first wave that does not count.
    async fn begin(&mut self) -> Result<()> {
        let stock = self.workload.stock(&mut self.content);
        self.connections.make(stock, self.at_once).await.context("while storing what is needed")?;
        let (first, _) = self.workload.wave_calls();
        self.rate = self.timed(first).await.context("in the first wave")?.0.rate();
        Ok(())
    }

    async fn wave(&mut self, seconds: f64) -> Result<()> {
        let (_, most) = self.workload.wave_calls();
        let calls = ((self.rate * seconds) as usize).min(most).next_multiple_of(self.at_once);
        let (measured, cpu) = self.timed(calls.max(self.at_once)).await?;
        self.measured.add(measured);
        self.cpu = self.cpu.zip(cpu).map(|(so_far, more)| so_far + more);
        self.rate = self.measured.rate();
        Ok(())
    }

    /// A wave, and then the proof that it had its effect.
    async fn timed(&mut self, calls: usize) -> Result<(Measured, Option<f64>)> {
        let wave = self.workload.wave(&mut self.content, calls);
        self.connections.make(wave.stock, self.at_once).await.context("while storing what is needed")?;
        let before = self.side.pid.and_then(cpu_seconds);
        let measured = self.connections.make(wave.ops, self.at_once).await?;
        let after = self.side.pid.and_then(cpu_seconds);
        self.prove(wave.proof).await?;
        Ok((measured, before.zip(after).map(|(before, after)| after - before)))
    }

    async fn prove(&self, proof: Vec<Op>) -> Result<()> {
        self.connections.make(proof, self.at_once).await.context("the effect of calls that succeeded")?;
        Ok(())
    }
}
