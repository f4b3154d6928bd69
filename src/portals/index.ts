/** The portals room's door. */
export {
  createPortals,
  portalName,
  PortalError,
  type Portal,
  type PortalRegistration,
  type Portals,
} from './portals.ts';
