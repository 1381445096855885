/** Types of Saoma's widget, `widget.v1.js`: a person logs in to a page by scanning a QR code with WeChat. */
export function mount(): void;
