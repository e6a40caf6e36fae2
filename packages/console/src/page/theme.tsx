import { useEffect, useState } from 'preact/hooks';

const STORED = 'engram-theme';
const THEMES = ['system', 'dark', 'light'] as const;
type Theme = (typeof THEMES)[number];

/** As the system has it, until somebody says otherwise. */
export function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(storedTheme);
  useEffect(() => {
    if (theme === 'system') {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem(STORED);
    } else {
      document.documentElement.dataset.theme = theme;
      localStorage.setItem(STORED, theme);
    }
    // Canvases do not follow the style sheet by themselves.
    dispatchEvent(new Event('themechange'));
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  return (
    <button
      type="button"
      class="quiet theme"
      onClick={() => setTheme(next)}
      title={`Colours: ${theme}; change to ${next}`}
    >
      Colours: {theme}
    </button>
  );
}

function storedTheme(): Theme {
  const stored = localStorage.getItem(STORED);
  return THEMES.find((theme) => theme === stored) ?? 'system';
}
