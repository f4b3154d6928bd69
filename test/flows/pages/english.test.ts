/** Every page, in English. */
import { lookAtPages } from './looking.ts';

lookAtPages({ name: 'en', locale: 'en', dir: 'ltr', elder: false, javaScript: true });
