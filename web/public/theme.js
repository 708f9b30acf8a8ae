// Runs before the first paint, so that the page does not flash in the wrong theme. "millrace-theme" is light, dark or
// missing (as the system says).
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("millrace-theme");
  } catch {
    // Storage can be forbidden; the system's choice serves.
  }
  const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
