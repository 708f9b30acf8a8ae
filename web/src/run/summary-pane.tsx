// What the steps of a run wrote for people: summaries, messages, outputs.
import type { Run } from "@/gen/millrace/v1/pipeline_pb";
import { StateIcon } from "@/ui/status";
import { Markdown } from "./markdown";

export function hasSummary(run: Run): boolean {
  return run.jobs.some((job) => job.message !== "" || Object.keys(job.outputs).length > 0 || job.steps.some((step) => step.summary !== "" || step.message !== ""));
}

export function SummaryPane({ run }: { run: Run }) {
  const jobs = run.jobs.filter((job) => job.message !== "" || Object.keys(job.outputs).length > 0 || job.steps.some((step) => step.summary !== "" || step.message !== ""));
  return (
    <div className="min-h-0 min-w-0 flex-1 overflow-y-auto px-4 py-3">
      <h2 className="sr-only">Summary and messages</h2>
      {jobs.map((job) => (
        <section key={job.key} aria-label={job.key} className="mb-6 max-w-3xl">
          <h3 className="flex items-center gap-2 border-b pb-1 font-semibold">
            <StateIcon state={job.state} />
            {job.name === "" ? job.key : job.name}
          </h3>
          {job.message !== "" && <p className="mt-2">{job.message}</p>}
          {job.steps
            .filter((step) => step.message !== "" || step.summary !== "")
            .map((step) => (
              <div key={step.index} className="mt-2">
                <p className="text-muted">
                  {step.name}
                  {step.message !== "" && `: ${step.message}`}
                </p>
                {step.summary !== "" && <Markdown text={step.summary} />}
              </div>
            ))}
          {Object.keys(job.outputs).length > 0 && (
            <table className="mt-2">
              <caption className="text-left text-muted">Outputs</caption>
              <tbody>
                {Object.entries(job.outputs).map(([name, value]) => (
                  <tr key={name}>
                    <th scope="row" className="pr-4 text-left align-top font-normal">
                      <code>{name}</code>
                    </th>
                    <td className="break-all">
                      <code>{value}</code>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </section>
      ))}
    </div>
  );
}
