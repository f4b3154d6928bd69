/** Every page, in Chinese. */
import { lookAtPages } from './looking.ts';

lookAtPages({ name: 'zh', locale: 'zh-CN', dir: 'ltr', elder: false, javaScript: true });
