/** Every page, in a language that is written from right to left. */
import { PSEUDO } from '../../support/pseudo-language.ts';
import { lookAtPages } from './looking.ts';

lookAtPages({ name: 'rtl', locale: PSEUDO, dir: 'rtl', elder: false, javaScript: true });
