// Before the first paint: the theme that the visitor chose.
try {
  document.documentElement.dataset.theme = localStorage.getItem('athanor-theme') || 'system';
} catch {
  document.documentElement.dataset.theme = 'system';
}
