/**
 * Passwords that can be looked at. A button with `data-password-show` shows what its field holds, and what is typed into a form is hidden again
 * before the form goes. Who can look need not type a new password twice: the second field is filled in for them.
 */
(() => {
  'use strict';
  // Two fields of a page bring this script twice.
  if (document.documentElement.dataset.passwords !== undefined) return;
  document.documentElement.dataset.passwords = '';

  for (const button of document.querySelectorAll('[data-password-show]')) {
    const field = document.getElementById(button.dataset.passwordShow);
    const { form } = field;
    const words = { password: button.textContent, text: button.dataset.passwordHide };
    const turn = (type) => {
      field.type = type;
      button.textContent = words[type];
    };
    button.addEventListener('click', () => turn(field.type === 'password' ? 'text' : 'password'));
    form.addEventListener('submit', () => turn('password'));
    button.hidden = false;
  }

  for (const again of document.querySelectorAll('[data-password-again]')) {
    const second = again.querySelector('input');
    const first = second.form.elements.password;
    second.form.addEventListener('submit', () => {
      second.value = first.value;
    });
    again.hidden = true;
  }
})();
