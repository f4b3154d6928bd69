import { AppError } from '../../platform/errors.ts';

export class DrawingError extends AppError<'LETTER_MISSING' | 'NAME_LENGTH' | 'DIAMETER'> {}
