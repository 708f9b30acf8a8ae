// What the specs against a real server share: problems a page reports, pictures, axe.
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";

/** Collects what the page complains of: errors, and refusals by the content security policy. */
export function watchProblems(page: Page): string[] {
  const problems: string[] = [];
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  return problems;
}

/** A picture in light, dark and narrow, and nothing for axe to find in any of them. */
export async function look(page: Page, name: string): Promise<void> {
  const size = page.viewportSize() ?? { width: 1360, height: 850 };
  for (const { label, theme, width } of [
    { label: "light", theme: "light", width: size.width },
    { label: "dark", theme: "dark", width: size.width },
    { label: "narrow", theme: "light", width: 390 },
  ] as const) {
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize({ width, height: size.height });
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await page.screenshot({ path: `test-results/real-${name}-${label}.png`, fullPage: width === 390 });
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.map((each) => `${name} in ${label}: ${each.id}: ${each.nodes.map((node) => node.html).join(" ")}`)).toEqual([]);
  }
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: null });
}
