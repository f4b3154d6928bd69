/** Every page, in English, in large type. */
import { lookAtPages } from './looking.ts';

lookAtPages({ name: 'en-elder', locale: 'en', dir: 'ltr', elder: true, javaScript: true });
