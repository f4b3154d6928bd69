/** Every page, in a language that is written from right to left, in large type. */
import { PSEUDO } from '../../support/pseudo-language.ts';
import { lookAtPages } from './looking.ts';

lookAtPages({ name: 'rtl-elder', locale: PSEUDO, dir: 'rtl', elder: true, javaScript: true });
