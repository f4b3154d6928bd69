/** Every page, in Chinese, in large type, without scripts. */
import { lookAtPages } from './looking.ts';

lookAtPages({ name: 'zh-elder-no-script', locale: 'zh-CN', dir: 'ltr', elder: true, javaScript: false });
