import '../../base.css';
