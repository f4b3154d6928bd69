/**
 * The warning before a page ends (WCAG 2.2, 2.2.1). Two minutes before, a dialog offers more time; it is asked for without leaving the page,
 * so that what was typed stays. Without this script the page says when it ends, and its button does the same by a form.
 */
(() => {
  'use strict';
  const WARNING_MS = 120_000;
  const section = document.getElementById('lifetime');
  const dialog = document.querySelector('dialog.lifetime-dialog');
  if (!section || !dialog || typeof dialog.showModal !== 'function') return;
  const said = section.querySelector('[data-lifetime-said]');
  const failed = dialog.querySelector('[data-lifetime-failed]');
  let endsAt = Date.now() + Number(section.dataset.seconds) * 1000;
  /** Whether the person has been told of this end. */
  let warned = false;

  const show = (which) => {
    for (const part of dialog.querySelectorAll('[data-lifetime-shows]')) part.hidden = part.dataset.lifetimeShows !== which;
    dialog.setAttribute('aria-labelledby', which === 'over' ? 'lifetime-over-title' : 'lifetime-title');
    dialog.setAttribute('aria-describedby', which === 'over' ? 'lifetime-over' : 'lifetime-ends');
    if (dialog.open) dialog.close();
    dialog.showModal();
  };

  /** A page that slept with its device finds out when it wakes. */
  function look() {
    const left = endsAt - Date.now();
    if (left <= 0) {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', look);
      show('over');
    } else if (left <= WARNING_MS && !warned) {
      warned = true;
      show('ends');
    }
  }

  async function extend(form) {
    failed.hidden = true;
    try {
      const answer = await fetch(form.action, {
        method: 'POST',
        body: new URLSearchParams(new FormData(form)),
        headers: { Accept: 'application/json' },
        redirect: 'error',
      });
      if (!answer.ok) throw new TypeError(String(answer.status));
      const { seconds, time } = await answer.json();
      endsAt = Date.now() + seconds * 1000;
      warned = seconds * 1000 <= WARNING_MS;
      section.querySelector('[data-lifetime-until]').textContent = section.dataset.until.replace('{time}', time);
      if (dialog.open) dialog.close();
      said.textContent = said.dataset.extended.replace('{time}', time);
    } catch {
      failed.hidden = false;
      if (!dialog.open) show('ends');
    }
  }

  for (const form of document.querySelectorAll('.lifetime form, .lifetime-dialog form[method="post"]'))
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void extend(form);
    });
  const timer = setInterval(look, 5000);
  document.addEventListener('visibilitychange', look);
  look();
})();
