/**
 * Passkeys in the browser (Web Authentication Level 3). A form with `data-passkey` carries what `navigator.credentials` needs, as JSON; the
 * answer goes into its field `credential`, and the form is sent like any other. Nothing else happens here: no request, no storage.
 */
(() => {
  'use strict';
  const forms = document.querySelectorAll('form[data-passkey]');
  const supported = typeof window.PublicKeyCredential === 'function' && 'credentials' in navigator;

  const toBytes = (text) => {
    const plain = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
    return Uint8Array.from(plain, (sign) => sign.charCodeAt(0));
  };
  const toText = (buffer) => {
    let plain = '';
    for (const byte of new Uint8Array(buffer)) plain += String.fromCharCode(byte);
    return btoa(plain).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  };
  const toDescriptors = (list) => (list || []).map((entry) => ({ ...entry, id: toBytes(entry.id) }));

  /** For browsers that cannot read the options themselves. */
  function parse(ceremony, json) {
    if (ceremony === 'create')
      return PublicKeyCredential.parseCreationOptionsFromJSON
        ? PublicKeyCredential.parseCreationOptionsFromJSON(json)
        : {
            ...json,
            challenge: toBytes(json.challenge),
            user: { ...json.user, id: toBytes(json.user.id) },
            excludeCredentials: toDescriptors(json.excludeCredentials),
          };
    return PublicKeyCredential.parseRequestOptionsFromJSON
      ? PublicKeyCredential.parseRequestOptionsFromJSON(json)
      : {
          ...json,
          challenge: toBytes(json.challenge),
          allowCredentials: toDescriptors(json.allowCredentials),
        };
  }

  /** Some password managers bring credentials that cannot write themselves. */
  function toJson(credential) {
    if (typeof credential.toJSON === 'function')
      try {
        return credential.toJSON();
      } catch {
        // Written below.
      }
    const { response } = credential;
    const fields = { clientDataJSON: toText(response.clientDataJSON) };
    for (const name of ['attestationObject', 'authenticatorData', 'signature', 'userHandle'])
      if (response[name]) fields[name] = toText(response[name]);
    if (typeof response.getTransports === 'function') fields.transports = response.getTransports();
    return {
      id: credential.id,
      rawId: toText(credential.rawId),
      type: credential.type,
      response: fields,
      clientExtensionResults: credential.getClientExtensionResults(),
    };
  }

  function prepare(form) {
    const ceremony = form.dataset.passkey;
    const json = JSON.parse(form.dataset.options);
    /** The ceremony under way: a browser has one at a time. */
    let present;

    const say = (what) => {
      for (const line of form.querySelectorAll('[data-passkey-says]')) line.hidden = line.dataset.passkeySays !== what;
    };
    const offered = form.dataset.passkeyOffer !== undefined;
    const begin = async (mediation) => {
      present?.abort();
      const own = new AbortController();
      present = own;
      try {
        const request = { publicKey: parse(ceremony, json), signal: own.signal, ...(mediation && { mediation }) };
        const credential = await navigator.credentials[ceremony](request);
        form.elements.credential.value = JSON.stringify(toJson(credential));
        form.submit();
      } catch (error) {
        // Another attempt took its place, or it was an offer that nobody took.
        if (own.signal.aborted || mediation) return;
        say(error.name === 'InvalidStateError' ? 'known' : error.name === 'NotAllowedError' ? 'stopped' : 'failed');
        if (offered) void offer();
      }
    };

    /** Among the suggestions of the field for the user name, to whoever has a passkey here. */
    const offer = async () => {
      const available = await PublicKeyCredential.isConditionalMediationAvailable?.().catch(() => false);
      if (available) await begin('conditional');
    };

    form.addEventListener('submit', (event) => {
      event.preventDefault();
      say('');
      void begin();
    });
    for (const part of form.querySelectorAll('[data-passkey-needs]')) part.hidden = false;
    if (offered) void offer();
  }

  for (const form of forms) {
    if (!supported) {
      for (const line of form.querySelectorAll('[data-passkey-says="unsupported"]')) line.hidden = false;
      continue;
    }
    prepare(form);
  }
})();
