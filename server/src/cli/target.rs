//! RUN, RUN/JOB and RUN/JOB/STEP: what a person writes to mean a run, some of its jobs, a step; and finding them.
//! Keys of jobs and names of steps may have slashes of their own.

use millrace_proto::millrace::v1::{GetRunRequest, Job, ListRunsRequest, Run, Step};

use super::{
    client::Server,
    exit::{CliError, Exit},
    harmless::harmless,
};

/// A shorter beginning of an id would too often mean two runs.
const ID_PREFIX_MIN_CHARS: usize = 8;
const ID_CHARS: usize = 36;
/// How many runs are looked through for the beginning of an id.
const ID_SEARCH_MAX_RUNS: usize = 10_000;
const ID_SEARCH_PAGE: u32 = 500;

/// How a run was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunName {
    /// The newest.
    Latest,
    /// By its number in the project.
    Number(u64),
    /// By its whole id.
    Id(String),
    /// By the first characters of its id.
    IdPrefix(String),
}

/// What was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The run.
    pub run: RunName,
    /// What stands behind the run's slash: a job, or a job and a step.
    pub rest: Option<String>,
}

/// Jobs of a run, and of each the steps that are meant.
pub type Chosen<'a> = Vec<(&'a Job, Vec<&'a Step>)>;

impl Target {
    /// Reads what a person wrote.
    pub fn parse(text: &str) -> Result<Self, CliError> {
        let (run, rest) = match text.split_once('/') {
            Some((run, rest)) => (run, Some(rest.trim_end_matches('/')).filter(|rest| !rest.is_empty())),
            None => (text, None),
        };
        Ok(Self { run: RunName::parse(run)?, rest: rest.map(str::to_owned) })
    }

    /// The steps that are meant, in the order of the run.
    pub fn choose<'a>(&self, run: &'a Run) -> Result<Chosen<'a>, CliError> {
        let Some(rest) = &self.rest else {
            return Ok(run.jobs.iter().map(|job| (job, job.steps.iter().collect())).collect());
        };
        let jobs = jobs_named(run, rest);
        if !jobs.is_empty() {
            return Ok(jobs.into_iter().map(|job| (job, job.steps.iter().collect())).collect());
        }
        let mut job_was_found = None;
        for (at, _) in rest.match_indices('/') {
            let (job_name, step_name) = (&rest[..at], &rest[at + 1..]);
            let jobs = jobs_named(run, job_name);
            let chosen: Chosen<'a> =
                jobs.iter().filter_map(|job| Some((*job, vec![step_named(job, step_name)?]))).collect();
            if !chosen.is_empty() {
                return Ok(chosen);
            }
            job_was_found = job_was_found.or(jobs.first().map(|job| (*job, step_name)));
        }
        Err(not_found(run, rest, job_was_found))
    }
}

impl RunName {
    fn parse(text: &str) -> Result<Self, CliError> {
        let is_id_part = |c: char| c.is_ascii_hexdigit() || c == '-';
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        let digits = text.strip_prefix('#').unwrap_or(text);
        if !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = digits.parse()
        {
            return Ok(Self::Number(number));
        }
        if text.len() >= ID_PREFIX_MIN_CHARS && text.len() <= ID_CHARS && text.chars().all(is_id_part) {
            let id = text.to_ascii_lowercase();
            return Ok(if text.len() == ID_CHARS { Self::Id(id) } else { Self::IdPrefix(id) });
        }
        Err(CliError::usage(format!("{text:?} names no run")).next(format!(
            "give its number, its id or the first {ID_PREFIX_MIN_CHARS} or more characters of it, or `latest`; \
             `millrace runs` lists them"
        )))
    }

    /// The run, whole.
    pub async fn find(&self, server: &Server) -> Result<Run, CliError> {
        let id = match self {
            Self::Latest => latest(server).await?,
            Self::Number(number) => number.to_string(),
            Self::Id(id) => id.clone(),
            Self::IdPrefix(prefix) => by_prefix(server, prefix).await?,
        };
        let request = GetRunRequest { run_id: id, ..Default::default() };
        let answer = server.pipelines().get_run(request).await.map_err(|error| server.explain(&error))?;
        let run = answer.into_owned().run.into_option().map(harmless);
        run.ok_or_else(|| CliError::new(Exit::Internal, "the server answered without a run"))
    }
}

async fn latest(server: &Server) -> Result<String, CliError> {
    let request = ListRunsRequest { page_size: 1, ..Default::default() };
    let answer = server.pipelines().list_runs(request).await.map_err(|error| server.explain(&error))?;
    answer.into_owned().runs.into_iter().next().map(|run| run.id).ok_or_else(|| {
        CliError::usage(format!("{} has no runs yet", server.url())).next("start one with `millrace run FILE`")
    })
}

async fn by_prefix(server: &Server, prefix: &str) -> Result<String, CliError> {
    let mut found: Vec<String> = Vec::new();
    let mut page_token = String::new();
    for _ in 0..ID_SEARCH_MAX_RUNS / ID_SEARCH_PAGE as usize {
        let request = ListRunsRequest { page_size: ID_SEARCH_PAGE, page_token, ..Default::default() };
        let answer = server.pipelines().list_runs(request).await.map_err(|error| server.explain(&error))?.into_owned();
        found.extend(answer.runs.into_iter().map(|run| run.id).filter(|id| id.starts_with(prefix)));
        page_token = answer.next_page_token;
        if page_token.is_empty() || found.len() > 1 {
            break;
        }
    }
    match found.as_slice() {
        [] => Err(CliError::usage(format!(
            "none of the last {ID_SEARCH_MAX_RUNS} runs has an id that begins with {prefix}"
        ))
        .next("`millrace runs` lists them")),
        [id] => Ok(id.clone()),
        [first, second, ..] => {
            Err(CliError::usage(format!("more than one run's id begins with {prefix}: {first}, {second}"))
                .next("give more of it"))
        }
    }
}

/// By key; else all jobs of a matrix by the id in the file; else by the name for people.
fn jobs_named<'a>(run: &'a Run, name: &str) -> Vec<&'a Job> {
    let by = |matches: &dyn Fn(&Job) -> bool| run.jobs.iter().filter(|job| matches(job)).collect::<Vec<_>>();
    let mut jobs = by(&|job| job.key == name);
    if jobs.is_empty() {
        jobs = by(&|job| job.job_id == name);
    }
    if jobs.is_empty() {
        jobs = by(&|job| job.name == name);
    }
    jobs
}

/// By its place from 1, by its id, or by its name.
fn step_named<'a>(job: &'a Job, name: &str) -> Option<&'a Step> {
    let by_place = name
        .parse::<u32>()
        .ok()
        .and_then(|place| job.steps.iter().find(|step| step.index.checked_add(1) == Some(place)));
    by_place
        .or_else(|| job.steps.iter().find(|step| !step.id.is_empty() && step.id == name))
        .or_else(|| job.steps.iter().find(|step| step.name == name))
}

fn not_found(run: &Run, rest: &str, job_was_found: Option<(&Job, &str)>) -> CliError {
    let number = run.number;
    if let Some((job, step)) = job_was_found {
        let steps: Vec<_> = job.steps.iter().map(|step| format!("{} ({})", step.index + 1, step.name)).collect();
        return CliError::usage(format!("job {:?} of run {number} has no step {step:?}", job.key))
            .next(format!("its steps are: {}", steps.join(", ")));
    }
    let jobs: Vec<_> = run.jobs.iter().map(|job| job.key.as_str()).collect();
    CliError::usage(format!("run {number} has no job {rest:?}")).next(format!("its jobs are: {}", jobs.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let step = |index, name: &str| Step { index, name: name.to_owned(), ..Default::default() };
        let job = |key: &str, id: &str, name: &str| Job {
            key: key.to_owned(),
            job_id: id.to_owned(),
            name: name.to_owned(),
            steps: vec![step(0, "checkout"), step(1, "Run ./x/y"), step(2, "2")],
            ..Default::default()
        };
        Run {
            number: 12,
            jobs: vec![
                job("build", "build", "Build it"),
                job("test (linux/amd64)", "test", "Tests linux"),
                job("test (b)", "test", "Tests b"),
            ],
            ..Default::default()
        }
    }

    fn chosen(text: &str) -> Result<Vec<String>, String> {
        let run = run();
        let target = Target::parse(text).unwrap();
        let chosen = target.choose(&run).map_err(|error| error.to_string())?;
        Ok(chosen
            .iter()
            .map(|(job, steps)| {
                let steps: Vec<_> = steps.iter().map(|step| (step.index + 1).to_string()).collect();
                format!("{}:{}", job.key, steps.join(","))
            })
            .collect())
    }

    #[test]
    fn runs_are_named_in_four_ways() {
        let parse = |text| Target::parse(text).unwrap().run;
        assert_eq!(parse("latest"), RunName::Latest);
        assert_eq!(parse("12"), RunName::Number(12));
        assert_eq!(parse("#12"), RunName::Number(12));
        assert_eq!(parse("12/build/2"), RunName::Number(12));
        assert_eq!(parse("019A2B3C"), RunName::IdPrefix("019a2b3c".to_owned()));
        assert_eq!(parse("01931234"), RunName::IdPrefix("01931234".to_owned()));
        let id = "019a2b3c-0000-7000-8000-000000000000";
        assert_eq!(parse(id), RunName::Id(id.to_owned()));
    }

    #[test]
    fn what_names_no_run_is_a_usage_error() {
        for text in ["", "019a", "nonsense", "/build", "019a2b3c-0000-7000-8000-0000000000001"] {
            let error = Target::parse(text).expect_err(text);
            assert_eq!(error.exit, Exit::Usage, "{text}");
            assert!(error.next.contains("millrace runs"), "{text}");
        }
    }

    #[test]
    fn a_run_alone_means_all_its_steps() {
        assert_eq!(chosen("12").unwrap(), ["build:1,2,3", "test (linux/amd64):1,2,3", "test (b):1,2,3"]);
        assert_eq!(chosen("12/").unwrap().len(), 3);
    }

    #[test]
    fn jobs_by_key_by_id_and_by_name() {
        assert_eq!(chosen("12/build").unwrap(), ["build:1,2,3"]);
        assert_eq!(chosen("12/test").unwrap(), ["test (linux/amd64):1,2,3", "test (b):1,2,3"]);
        assert_eq!(chosen("12/test (linux/amd64)").unwrap(), ["test (linux/amd64):1,2,3"]);
        assert_eq!(chosen("12/Tests b").unwrap(), ["test (b):1,2,3"]);
    }

    #[test]
    fn steps_by_place_and_by_name_with_slashes() {
        assert_eq!(chosen("12/build/1").unwrap(), ["build:1"]);
        assert_eq!(chosen("12/build/2").unwrap(), ["build:2"], "a place wins over a name");
        assert_eq!(chosen("12/build/Run ./x/y").unwrap(), ["build:2"]);
        assert_eq!(chosen("12/test (linux/amd64)/3").unwrap(), ["test (linux/amd64):3"]);
        assert_eq!(chosen("12/test/checkout").unwrap(), ["test (linux/amd64):1", "test (b):1"]);
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let no_job = chosen("12/bild").unwrap_err();
        assert!(no_job.contains("build, test (linux/amd64), test (b)"), "{no_job}");
        let no_step = chosen("12/build/9").unwrap_err();
        assert!(no_step.contains("1 (checkout), 2 (Run ./x/y)"), "{no_step}");
    }
}
